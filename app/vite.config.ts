import path from "node:path";

import { defineConfig } from "vite";

import { madeModules, precache } from "./vite/plugins.ts";

const root = import.meta.dirname;

export default defineConfig({
  root,
  // Relative, so that the built page works in any folder of any host.
  base: "./",
  resolve: { conditions: ["source", "module", "browser", "development|production"] },
  assetsInclude: ["**/*.tflite"],
  plugins: [madeModules(), precache()],
  worker: { format: "es", plugins: () => [madeModules()] },
  server: { fs: { allow: [path.resolve(root, "..")] } },
  build: {
    // Into the Python package, which serves it and carries it in its wheel; never tracked by git.
    outDir: path.resolve(root, "../src/pneumoscope/serving/on_device/page"),
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: path.join(root, "index.html"), sw: path.join(root, "src/sw.ts") },
      output: { entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
});
