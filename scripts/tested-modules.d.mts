export declare const bundleTested: () => Promise<void>
export declare const external: RegExp[]
export declare const testedModules: {
  name: string
  enforce: 'pre'
  resolveId: (name: string, importer: string | undefined) => string | undefined
  load: (id: string) => string | undefined
}
