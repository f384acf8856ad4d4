// Which test files reach a changed file, and through how many imports. Files that only pass names on (index.ts) are seen through by name,
// so that a test reaches what it uses of a folder and not the whole folder. It reads import statements as text, as the formatter writes them.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

const statement =
  /(?:^|\n)\s*(?<kind>import|export)\s+(?:type\s+)?(?<names>\*(?:\s+as\s+\w+)?|\{[^}]*\}|[\w$]+(?:\s*,\s*\{[^}]*\})?)\s+from\s+['"](?<from>\.[^'"]+)['"]/g
const bare = /(?:\bimport\s*\(?\s*|new URL\(\s*)['"](\.{1,2}\/[^'"]+)['"]/g

/** `a as b, type c` as pairs of the name in the other file and the name here; undefined for all names. */
const namesIn = (text) => {
  const list = /\{([^}]*)\}/.exec(text)?.[1]
  if (list === undefined || /^[\w$]+\s*$/.test(text)) return undefined
  return list
    .split(',')
    .map((part) => part.trim().replace(/^type\s+/, ''))
    .filter((part) => part !== '')
    .map((part) => part.split(/\s+as\s+/))
    .map(([from, to]) => [from, to ?? from])
}

const fileAt = (from, name) =>
  [name, `${name}.ts`, `${name}.tsx`, `${name}/index.ts`].map((path) => resolve(dirname(from), path)).find(existsSync)

/** Import statements of a file: `{ from, names, passesOn }`. */
const readImports = (path) => {
  const text = readFileSync(path, 'utf8')
  const found = [...text.matchAll(statement)].map(({ groups }) => ({
    from: fileAt(path, groups.from),
    names: namesIn(groups.names),
    passesOn: groups.kind === 'export',
  }))
  const others = [...text.matchAll(bare)].map(([, name]) => ({ from: fileAt(path, name), passesOn: false }))
  return [...found, ...others].filter(({ from }) => from !== undefined && /\.(?:ts|tsx|mjs)$/.test(from))
}

const add = (map, key, value) => {
  if (!map.has(key)) map.set(key, new Set())
  map.get(key).add(value)
}

export class ImportGraph {
  #imports = new Map()
  /** Of each file, those that use a name that it declares. */
  #users = new Map()
  /** Of each file, those with an import statement of it. */
  #importers = new Map()

  /** @param {string[]} files absolute paths of all modules */
  constructor(files) {
    for (const path of files) this.#imports.set(path, readImports(path))
    for (const path of files)
      for (const { from, names, passesOn } of this.#imports.get(path)) {
        add(this.#importers, from, path)
        if (passesOn) continue
        for (const origin of this.#origins(from, names)) add(this.#users, origin, path)
      }
  }

  /** The files that declare `names` of the file `path`, through those that pass them on. */
  #origins(path, names, seen = new Set()) {
    const passed = this.#imports.get(path)?.filter(({ passesOn }) => passesOn) ?? []
    if (passed.length === 0 || seen.has(path)) return [path]
    seen.add(path)
    if (names === undefined) return [path, ...passed.flatMap(({ from, names }) => this.#origins(from, names, seen))]
    return names.flatMap(([name]) => {
      const one = passed.find(({ names }) => names?.some(([, given]) => given === name))
      if (one !== undefined) {
        const [inner] = one.names.find(([, given]) => given === name)
        return this.#origins(one.from, [[inner, inner]], new Set(seen))
      }
      const all = passed.filter(({ names }) => names === undefined)
      return [path, ...all.flatMap(({ from }) => this.#origins(from, [[name, name]], new Set(seen)))]
    })
  }

  /** Files that reach one of `changed`, each with the number of imports between them. */
  reach(changed) {
    const distances = new Map(changed.map((path) => [path, 0]))
    const waiting = [...distances.keys()]
    for (const path of waiting) {
      // A change of a file that passes names on reaches all its importers, though most of them use what others declare.
      const passesOn = distances.get(path) === 0 && this.#imports.get(path)?.some(({ passesOn }) => passesOn)
      for (const importer of (passesOn ? this.#importers : this.#users).get(path) ?? [])
        if (!distances.has(importer)) {
          distances.set(importer, distances.get(path) + 1)
          waiting.push(importer)
        }
    }
    return distances
  }
}
