// Where a model in training can be asked: a file in the folder of its run, which only its user can read.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { runFiles, runOwner } from '../../tracking/index.ts'

/** Header of an answer with the step whose weights gave it. */
export const stepHeader = 'x-tunesmith-step'

/** Where to send requests, and the token that they must have. */
export interface Address {
  url: string
  token: string
}

const schema = z.strictObject({ url: z.url(), token: z.string(), process: z.int().positive() })

const pathOf = (folder: string): string => join(folder, runFiles.live)

/** Writes the address of this process into the folder of its run. */
export const writeLiveFile = async (folder: string, address: Address): Promise<void> => {
  await removeLiveFile(folder)
  const text = `${JSON.stringify({ ...address, process: process.pid })}\n`
  await writeFile(pathOf(folder), text, { mode: 0o600, flag: 'wx' })
}

export const removeLiveFile = (folder: string): Promise<void> => rm(pathOf(folder), { force: true })

/** The address of the model that is trained in a folder; undefined if none is, or if its command was not started with `--ui`. */
export const readLiveFile = async (folder: string): Promise<Address | undefined> => {
  try {
    const { process, ...address } = schema.parse(JSON.parse(await readFile(pathOf(folder), 'utf8')))
    // The file of a killed process stays.
    return (await runOwner(folder)) === process ? address : undefined
  } catch {
    return undefined
  }
}
