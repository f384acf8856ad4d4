/** The name of a column without what all have in common: `layer/body.layers.3` is `layers.3`. */
export const layerName = (column: string): string => column.replace(/^layer\/(body\.)?/, '')
