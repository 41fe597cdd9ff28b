/** Where a configuration is wrong. */

/** A line in a file. */
export interface Position {
  readonly file: string;
  readonly line: number;
}

/** A configuration that cannot be used: the message starts with file and line. */
export class SshdConfigError extends Error {
  override readonly name = "SshdConfigError";
  constructor(readonly position: Position, readonly problem: string, options?: ErrorOptions) {
    super(`${position.file}${position.line > 0 ? `:${position.line}` : ""}: ${problem}`, options);
  }
}
