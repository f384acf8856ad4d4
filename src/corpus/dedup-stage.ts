// temporary
import type { EntryFile } from './journal.ts'
export async function deduplicate(_: object): Promise<Map<string, EntryFile>> {
  return new Map()
}
