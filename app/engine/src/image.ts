/** What a decoded file is, whatever it was stored as. */

/** Grey pixels, row by row: 0 black to 255 white. */
export interface Grey {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Pixels deeper than 8 bits, for a viewer's window and level. The model never sees them. */
export interface DeepPixels {
  /** As many as the grey pixels, in the units that the window is in. */
  readonly values: Float32Array;
  /** Centre and width that gave the grey pixels, or the whole range where no window did. */
  readonly centre: number;
  readonly width: number;
  /** Whether low values are shown white. */
  readonly inverse: boolean;
}

export type ImageFormat = "JPEG" | "PNG" | "TIFF" | "BMP" | "WebP" | "GIF" | "DICOM";

/** One decoded image. The names are those of Python's `GreyImage`. */
export interface GreyImage {
  /** Upright; transposed against `width` and `height` where the file's orientation says so. */
  readonly pixels: Grey;
  /** Columns and rows as stored in the file. */
  readonly width: number;
  readonly height: number;
  /** Mean of max(R, G, B) - min(R, G, B) in grey levels; 0 for grey. */
  readonly chroma: number;
  readonly format: ImageFormat;
  /** Of the whole file, 64 hex digits. */
  readonly sha256: string;
  /** What the header says that a reader of the result should know. */
  readonly notes: readonly string[];
  readonly deep: DeepPixels | null;
  /** Of the patient at the time of the exposure, where the header says it. */
  readonly ageYears: number | null;
}

/** What a decoder gives; the reader adds format and hash. */
export interface Decoded {
  readonly pixels: Grey;
  readonly width: number;
  readonly height: number;
  readonly chroma: number;
  readonly notes?: readonly string[];
  readonly deep?: DeepPixels | null;
  readonly ageYears?: number | null;
}
