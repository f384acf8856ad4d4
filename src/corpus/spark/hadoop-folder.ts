// The folder of a corpus at an address: Spark writes its parts and drop lists, and the shell of Hadoop its report and manifest. The plan and the
// worker of the build are in a local folder.

import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { sha256, userCache } from '../../core/index.ts'
import { type CorpusFile, expectCorpusNames, isStaleName, lockBuild } from '../build/corpus-folder.ts'
import { type CorpusManifest, manifestName, parseManifest } from '../manifest.ts'
import { type HadoopShell, splitAddress } from './hadoop-shell.ts'

/** The local folder of builds at an address. */
const localWork = (address: string): string => userCache('corpus-builds', sha256(address).slice(0, 16))

/** Has the methods of `LocalFolder`. */
export class HadoopFolder {
  readonly path: string
  readonly work: string
  readonly #shell: HadoopShell
  /** Bytes of the files that were there, by path relative to the folder. */
  #files: ReadonlyMap<string, number> = new Map()
  readonly #later: string[] = []

  constructor(address: string, shell: HadoopShell) {
    this.path = address.replace(/\/+$/, '')
    this.work = join(localWork(this.path), 'work')
    this.#shell = shell
  }

  async open(): Promise<() => Promise<void>> {
    await mkdir(this.work, { recursive: true })
    const unlock = await lockBuild(localWork(this.path))
    try {
      await this.#list()
      expectCorpusNames(this.path, this.#names())
      return unlock
    } catch (error) {
      await unlock()
      throw error
    }
  }

  async #list(): Promise<void> {
    const { path: own } = splitAddress(this.path)
    const listed = await this.#shell.list([this.path])
    this.#files = new Map(
      listed
        .filter(({ isFolder }) => !isFolder)
        .map(({ path, bytes }) => [posix.relative(own || '/', splitAddress(path).path), bytes]),
    )
  }

  /** Names in the folder itself. */
  #names(): string[] {
    return [...new Set([...this.#files.keys()].map((path) => path.split('/')[0]!))]
  }

  /** Whether there was such a file when the folder was opened. */
  has(path: string): boolean {
    return this.#files.has(path)
  }

  async manifest(): Promise<CorpusManifest | undefined> {
    if (!this.has(manifestName)) return undefined
    return parseManifest(await this.read(manifestName), `${this.path}/${manifestName}`)
  }

  /** By its size: reading it would take as long as the build. */
  async isIntact({ path, bytes }: CorpusFile): Promise<boolean> {
    return this.#files.get(path) === bytes
  }

  read(path: string): Promise<string> {
    return this.#shell.read(`${this.path}/${path}`)
  }

  async write(path: string, text: string): Promise<void> {
    const names = path.split('/')
    const local = join(this.work, names.at(-1)!)
    await mkdir(this.work, { recursive: true })
    await writeFile(local, text)
    // Spark has made the folder.
    await this.#shell.put([local], [this.path, ...names.slice(0, -1)].join('/'), { exists: true })
    await rm(local)
  }

  /** Copies local files into a folder below this one. */
  put(files: readonly string[], folder: string): Promise<void> {
    return this.#shell.put(files, `${this.path}/${folder}`)
  }

  /** Removes files and folders below this one. */
  remove(paths: readonly string[]): Promise<void> {
    return this.#shell.remove(paths.map((path) => `${this.path}/${path}`))
  }

  /** Removes what is below this folder when the corpus is complete, in one command. */
  removeLater(paths: readonly string[]): void {
    this.#later.push(...paths)
  }

  async tidy(dataName: string, options: { keepWork: boolean }): Promise<void> {
    const names = new Set([...this.#names(), ...this.#later])
    await this.remove([...names].filter((name) => name.includes('/') || isStaleName(name, dataName, options)))
    if (!options.keepWork) await rm(this.work, { recursive: true, force: true })
  }
}
