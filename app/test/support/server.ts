/** A static server on loopback that remembers what was asked of it, and can be stopped to play a lost network. */

import { createServer, type Server } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import path from "node:path";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".webmanifest": "application/manifest+json",
};

export class StaticServer {
  readonly requests: string[] = [];
  readonly #folder: string;
  #server: Server | null = null;
  #port = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get url(): string {
    return `http://localhost:${this.#port}/`;
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      const name = decodeURIComponent(new URL(request.url!, this.url).pathname).replace(/\/$/, "/index.html");
      this.requests.push(name);
      readFile(path.join(this.#folder, path.normalize(name))).then(
        (body) => {
          const isHashed = name.startsWith("/assets/");
          response.writeHead(200, {
            "content-type": TYPES[path.extname(name)] ?? "application/octet-stream",
            "cache-control": isHashed ? "public, max-age=31536000, immutable" : "no-cache",
          });
          response.end(body);
        },
        () => response.writeHead(404).end("not here"),
      );
    });
    await new Promise<void>((resolve) => this.#server!.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    server?.closeAllConnections();
    if (server) await new Promise((resolve) => server.close(resolve));
  }
}
