export declare const startCompiled: (code: string, path: string) => string
export declare const compiledWorkers: {
  name: string
  enforce: 'pre'
  transform: (code: string, id: string) => string
}
