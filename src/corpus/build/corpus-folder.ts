// The folder that a corpus is built in: its manifest, its files and what is removed. On a file system; `HadoopFolder` is one at an address.

import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, lockFolder, makeFolder, writeFileAtomic } from '../../core/index.ts'
import { type CorpusManifest, manifestName, readManifestIfAny } from '../manifest.ts'
import { isIntact } from './journal.ts'

const workName = 'work'

/** A file of a corpus. */
export interface CorpusFile {
  /** Relative to the folder. */
  path: string
  bytes: number
  sha256: string
}

/** @throws ConfigError where a name is not of a corpus */
export const expectCorpusNames = (path: string, names: readonly string[]): void => {
  if (names.includes(manifestName) || names.includes(workName)) return
  const foreign = names.find((name) => !/^(data-[0-9a-f]+|\.lock|\..*\.tmp)$/.test(name))
  if (foreign === undefined) return
  throw new ConfigError(
    `Expected an empty folder or a corpus for \`out\`, got ${path} with ${foreign}. Name another folder.`,
  )
}

/** Whether a name in the folder is of an older corpus, of a killed write, or of work that is done. */
export const isStaleName = (name: string, dataName: string, { keepWork }: { keepWork: boolean }): boolean =>
  (/^data-/.test(name) && name !== dataName) || /^\..*\.tmp$/.test(name) || (name === workName && !keepWork)

/** A folder of a file system that a corpus is built in. */
export class LocalFolder {
  /** As it was given. */
  readonly path: string
  /** Local folder of the plan and of what the command itself keeps. */
  readonly work: string

  constructor(path: string) {
    this.path = path
    this.work = join(path, workName)
  }

  /** Creates the folder and locks it. @returns the function that unlocks it. @throws ConfigError for a folder of something else */
  async open(): Promise<() => Promise<void>> {
    await makeFolder(this.path, 'out')
    expectCorpusNames(this.path, await readdir(this.path))
    return lockBuild(this.path)
  }

  /** The manifest, or undefined when there is none. */
  manifest(): Promise<CorpusManifest | undefined> {
    return readManifestIfAny(this.path)
  }

  /** Whether a file is as the manifest says. */
  isIntact(file: CorpusFile): Promise<boolean> {
    return isIntact(join(this.path, file.path), file)
  }

  read(path: string): Promise<string> {
    return readFile(join(this.path, path), 'utf8')
  }

  /** Writes a file at once, so that no reader sees a part of it. */
  write(path: string, text: string): Promise<void> {
    return writeFileAtomic(join(this.path, path), text)
  }

  /** Removes older corpora, partial files and, unless they are kept, intermediate files. */
  async tidy(dataName: string, options: { keepWork: boolean }): Promise<void> {
    for (const name of await readdir(this.path))
      if (isStaleName(name, dataName, options)) await rm(join(this.path, name), { recursive: true, force: true })
    for (const name of await readdir(join(this.path, dataName)))
      if (/\.(partial|tmp)$/.test(name)) await rm(join(this.path, dataName, name), { force: true })
  }
}

/** Locks the output folder and returns the function that unlocks it. @throws ConfigError when a running build has the lock */
export const lockBuild = (folder: string): Promise<() => Promise<void>> =>
  lockFolder(
    folder,
    (owner, path) =>
      `Expected a folder that no other build uses for \`out\`, got ${folder}, which process ${owner} is writing. ` +
      `Wait for that build or stop it; if it does not exist, delete ${path}.`,
  )
