export const suites: string[]
export const leftOut: Record<string, string>
export const everyTime: string[]
