/**
 * The errors of the engine, named as Python's are (src/pneumoscope/errors.py).
 *
 *     PneumoscopeError
 *     ├── InputError               one input is at fault; all others go on
 *     │   ├── UnreadableInputError it could not be read: record status "error"
 *     │   └── RefusedInputError    it was read and cannot be judged: record status "refused"
 *     ├── ModelFileError           not a one-file model, cut short, or changed since it was written
 *     ├── ContractError            the contract inside a model cannot be honoured
 *     └── PlatformError            this browser cannot run the engine
 */

export class PneumoscopeError extends Error {
  /** Of the input that is at fault, where any byte of it could be read. */
  sha256: string | null = null;
  override readonly name: string = "PneumoscopeError";
}

/** What a decoder of one format says; the reader makes an `UnreadableInputError` of it that names the format. */
export class DamagedError extends Error {}

export class InputError extends PneumoscopeError {
  override readonly name: string = "InputError";
}

export class UnreadableInputError extends InputError {
  override readonly name: string = "UnreadableInputError";
}

/** Read, but it cannot be judged; `sha256` is null only where no byte could be read. */
export class RefusedInputError extends InputError {
  override readonly name: string = "RefusedInputError";
}

export class ModelFileError extends PneumoscopeError {
  override readonly name: string = "ModelFileError";
}

export class ContractError extends PneumoscopeError {
  override readonly name: string = "ContractError";
}

export class PlatformError extends PneumoscopeError {
  override readonly name: string = "PlatformError";
}
