export declare const reachedWithoutImports: (
  changed: readonly string[],
  tests: readonly string[],
) => [path: string, distance: number][]
