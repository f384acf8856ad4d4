// Tags of runs, in a file of the folder that has the runs: they outlive the studio and belong to no run's own results.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../../../core/index.ts'
import { badRequest } from '../../http/errors.ts'

const fileName = '.studio-tags.json'
const maxTags = 32
const maxLength = 64

type TagsByPath = Record<string, string[]>

/** The tags of the runs in one folder. */
export class RunTags {
  readonly #path: string
  #writing: Promise<unknown> = Promise.resolve()

  constructor(folder: string) {
    this.#path = join(folder, fileName)
  }

  /** Tags by the path of the run in the folder. A missing or damaged file counts as no tags. */
  async read(): Promise<TagsByPath> {
    try {
      const value = JSON.parse(await readFile(this.#path, 'utf8')) as unknown
      if (typeof value !== 'object' || value === null) return {}
      return Object.fromEntries(
        Object.entries(value).filter(([, tags]) => Array.isArray(tags) && tags.every((tag) => typeof tag === 'string')),
      ) as TagsByPath
    } catch {
      return {}
    }
  }

  /** Stores the tags of a run: without repetitions, sorted. @throws ApiError for too many or too long ones */
  async set(path: string, tags: readonly string[]): Promise<string[]> {
    const clean = [...new Set(tags.map((tag) => tag.trim()).filter(Boolean))].sort()
    if (clean.length > maxTags || clean.some((tag) => tag.length > maxLength))
      throw badRequest(
        `Expected at most ${maxTags} tags of at most ${maxLength} characters for \`tags\`, got more.`,
        'tags',
      )
    const write = async () => {
      const { [path]: _, ...others } = await this.read()
      const all = clean.length === 0 ? others : { ...others, [path]: clean }
      await writeFileAtomic(this.#path, `${JSON.stringify(all, null, 2)}\n`)
    }
    // One after the other, or two pages would lose each other's tags.
    this.#writing = this.#writing.then(write, write)
    await this.#writing
    return clean
  }
}
