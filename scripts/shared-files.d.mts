export function sharedFiles(): string[]
