/** Tells of promises that nobody watched and that were rejected: a mistake over one connection must not end all others. */
export function outliveMistakes(tell: (error: unknown) => void): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    tell(event.reason);
  });
}
