export declare class ImportGraph {
  constructor(files: readonly string[])
  reach(changed: readonly string[]): Map<string, number>
}
