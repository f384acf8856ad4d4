export declare const isFull: boolean
export declare const fullOnly: Readonly<Record<string, string>>
