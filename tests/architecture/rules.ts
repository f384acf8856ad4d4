// The rules of the repository's form. Each takes a tree of files and gives the lines that break it, so that a small tree in
// a test can show that it does break.
import { dirname, join, normalize } from 'node:path/posix'
import ts from 'typescript'
import { importsOf, type Tree, withoutComments } from './files.ts'

export type Rule = (tree: Tree) => string[]

/** A folder may import from folders of a lower number only. */
const tiers: Record<string, number> = {
  core: 0,
  ...{ files: 1, tensor: 1, tokenizers: 1, tracking: 1 },
  ...{ nn: 2, optim: 2, corpus: 2, data: 2, distributed: 2 },
  models: 3,
  ...{ checkpoint: 4, generation: 4, objectives: 4 },
  ...{ adapters: 5, tasks: 5 },
  ...{ alignment: 6, training: 6, features: 6 },
  runs: 7,
  inference: 8,
  ...{ export: 9, serving: 9 },
  cli: 10,
}

const code = /\.(ts|tsx|js|mjs|cjs|cpp|h|cu|py|sh|cmake)$/
const isTest = (path: string) => /\.test\.ts$/.test(path)
const isFixture = (path: string) => /\/(fixtures|golden)\//.test(path)

function sources(tree: Tree): string[] {
  return [...tree.keys()].filter((path) => /^src\/.*\.ts$/.test(path))
}

function folderOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1]
}

export const foldersHaveTiers: Rule = (tree) => {
  const folders = new Set(
    sources(tree)
      .map(folderOf)
      .filter((folder) => folder !== undefined),
  )
  return [...folders].filter((folder) => !(folder in tiers)).map((folder) => `src/${folder}: has no tier`)
}

/** Imports point down, never sideways, and across folders only to the other folder's index.ts. */
export const importsPointDown: Rule = (tree) =>
  sources(tree).flatMap((path) => {
    const own = folderOf(path)
    if (own === undefined) return []
    return importsOf(tree, path).flatMap(({ to, line }) => {
      if (to === undefined) return []
      const other = folderOf(to)
      if (!to.startsWith('src/')) return isTest(path) ? [] : [`${path}:${line}: leaves src for ${to}`]
      if (other === own) return []
      if (other === undefined) return [`${path}:${line}: imports the package's own entry ${to}`]
      if (!(tiers[other] < tiers[own]))
        return [`${path}:${line}: tier ${tiers[own]} imports ${other} of tier ${tiers[other]}`]
      return to === `src/${other}/index.ts` ? [] : [`${path}:${line}: imports ${to} past its index.ts`]
    })
  })

/** Relative imports name a file that is there, with its .ts. */
export const importsResolve: Rule = (tree) =>
  [...tree.keys()]
    .filter((path) => /^(src|tests|bench|recipes)\/.*\.ts$/.test(path))
    .flatMap((path) =>
      importsOf(tree, path)
        .filter(({ to }) => to !== undefined && /\.(ts|js|mjs)$/.test(to) && !to.startsWith('..') && !tree.has(to))
        .filter(({ to }) => !to!.startsWith('dist/') && !isTest(path))
        .map(({ to, line }) => `${path}:${line}: ${to} is not there`),
    )

/** One door to native code. */
export const oneFileLoadsTheAddon: Rule = (tree) =>
  sources(tree)
    .filter((path) => path !== 'src/tensor/native.ts')
    .flatMap((path) =>
      matches(tree, path, /\bdlopen\(|\brequire\(|['"`][^'"`\s]*\/[^'"`\s]*\.node['"`]/g, 'loads native code'),
    )

export const maxLines = 600

export const filesAreShort: Rule = (tree) =>
  [...tree]
    .filter(
      ([path]) =>
        code.test(path) && /^(src|native|scripts|bench|tests|recipes|web|bin)\//.test(path) && !isFixture(path),
    )
    .map(([path, text]) => [path, text.replace(/\n$/, '').split('\n').length] as const)
    .filter(([, lines]) => lines > maxLines)
    .map(([path, lines]) => `${path}: ${lines} lines, more than ${maxLines}`)

export const maxFunctionLines = 100

/** Functions that can be read at a glance; parts of longer ones have names. */
export const functionsAreShort: Rule = (tree) =>
  [...tree]
    .filter(([path]) => /^(src|scripts|bench|recipes|bin)\/.*\.(ts|mjs|js)$/.test(path))
    .filter(([path, text]) => !isTest(path) && !isFixture(path) && text.split('\n').length > maxFunctionLines)
    .flatMap(([path, text]) => longFunctions(path, text))

function longFunctions(path: string, text: string): string[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const findings: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const first = source.getLineAndCharacterOfPosition(node.getStart()).line
      const lines = source.getLineAndCharacterOfPosition(node.end).line - first + 1
      const name = (node.name ?? (node.parent as { name?: ts.Node }).name)?.getText() ?? 'a function'
      if (lines > maxFunctionLines)
        findings.push(`${path}:${first + 1}: ${name} has ${lines} lines, more than ${maxFunctionLines}`)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return findings
}

/** Names that say nothing, and names in another style. */
export const filesAreNamed: Rule = (tree) =>
  [...tree.keys()]
    .filter(
      (path) => code.test(path) && /^(src|native|scripts|bench|tests|recipes|web|bin)\//.test(path) && !isFixture(path),
    )
    .flatMap((path) => {
      const parts = path.split('/').map((part) => part.replace(/\..*$/, ''))
      const empty = parts.find(
        (part) => /^(utils?|helpers?|common|misc)$/i.test(part) || /-(utils?|helpers?)$/i.test(part),
      )
      if (empty !== undefined) return [`${path}: \`${empty}\` says nothing of what is inside`]
      const style = path.endsWith('.py') ? /^[a-z0-9_-]+$/ : /^[a-z0-9-]+$/
      return path.endsWith('CMakeLists.txt') || style.test(parts.at(-1)!) ? [] : [`${path}: is not kebab-case`]
    })

/** Whatever calls a `defineX` at its top level is an entry, and its folder's registry must import it. */
export const entriesAreRegistered: Rule = (tree) =>
  sources(tree)
    .filter((path) => !isTest(path) && !isFixture(path))
    .filter((path) => /^export const \w+(: [^=]+)? = define[A-Z]\w*(<[^(]*>)?\(/m.test(tree.get(path) ?? ''))
    .flatMap((path) => {
      const folder = dirname(path)
      const registries = [
        `${folder}/index.ts`,
        `${folder}/commands.ts`,
        ...(dirname(folder) === 'src' ? [] : [`${dirname(folder)}/index.ts`]),
      ].filter((file) => tree.has(file))
      if (registries.includes(path)) return []
      const registered = registries.some((file) => importsOf(tree, file).some(({ to }) => to === path))
      return registered ? [] : [`${path}: is not registered in ${registries[0] ?? `${folder}/index.ts`}`]
    })

/** Every source file is used by another one, or is an entry of the program. */
export const nothingIsDead: Rule = (tree) => {
  const used = new Set(
    sources(tree)
      .filter((path) => !isTest(path))
      .flatMap((path) => importsOf(tree, path).map(({ to }) => to)),
  )
  const isEntry = (path: string) => /^src\/(index|[^/]+\/index|cli\/main)\.ts$/.test(path)
  return sources(tree)
    .filter((path) => !isTest(path) && !isFixture(path) && !isEntry(path) && !used.has(path))
    .map((path) => `${path}: nothing imports it`)
}

// Each takes a tenth to a third of a second to load, and does nothing for a server of models.
const largePackages = [
  ...['@duckdb/node-api', '@huggingface/hub', '@modelcontextprotocol/server', 'eld', 'esbuild'],
  ...['linkedom', 'onnxruntime-node'],
]

/** A server starts in under two seconds: what it does not use is loaded by `await import` when something else needs it. */
export const serverStartsLight: Rule = (tree) => {
  const statement = /^(?:import|export)\s(?!type\s)[^'"]*?from\s+'([^']+)'/gm
  const reached = new Set(['src/cli/commands/serve.ts'])
  const found: string[] = []
  for (const path of reached)
    for (const [, specifier] of withoutComments(tree.get(path) ?? '').matchAll(statement)) {
      if (specifier.startsWith('.')) reached.add(normalize(join(dirname(path), specifier)))
      if (largePackages.some((name) => specifier === name || specifier.startsWith(`${name}/`)))
        found.push(`${path}: loads ${specifier} into every server`)
    }
  return found
}

// What a registry entry is held by, as against events, tokens or records, which have types of their own.
const holder =
  '(?:[mM]odel|[aA]dapter|[oO]bjective|[tT]ask|[hH]ead|[vV]ariant|[oO]ptimizer|[sS]chedule|[mM]etric|config|definition)'

/** An entry declares its own answers; shared code never asks for its name. */
export const typesAreNotCompared: Rule = (tree) =>
  sources(tree)
    .filter((path) => !isTest(path) && !isFixture(path))
    .flatMap((path) => [
      ...matches(
        tree,
        path,
        new RegExp(`\\b\\w*${holder}\\??\\.type\\s*[!=]==?\\s*['"\`]`, 'g'),
        'compares a type with a string',
      ),
      ...matches(
        tree,
        path,
        new RegExp(`['"\`]\\s*[!=]==?\\s*(?:\\w+\\.)*\\w*${holder}\\??\\.type\\b`, 'g'),
        'compares a type with a string',
      ),
      ...matches(
        tree,
        path,
        new RegExp(`\\bswitch\\s*\\((?:\\w+\\.)*\\w*${holder}\\??\\.type\\)`, 'g'),
        'switches on a type',
      ),
    ])

/**
 * Module-level functions are arrow functions, and members are `#private`. Exempt are generators, overloads, assertions, functions that
 * never return, those that are used above their definition, and private constructors, which JavaScript does not have.
 */
export const codeHasOneStyle: Rule = (tree) =>
  sources(tree)
    .filter((path) => !isTest(path) && !isFixture(path))
    .flatMap((path) => {
      const text = withoutComments(tree.get(path) ?? '')
      const names = [...text.matchAll(/^(?:export )?(?:async )?function (\w+)/gm)]
      const functions = names
        .filter(([, name]) => names.filter(([, other]) => other === name).length === 1)
        .filter(({ 1: name, index }) => !new RegExp(`\\b${name}\\b`).test(text.slice(0, index)))
        .filter(
          ({ index }) =>
            !/\)\s*:\s*(never|asserts\b[^{]*)\s*\{/.test(text.slice(index, text.indexOf('{\n', index) + 1)),
        )
        .map(({ 1: name, index }) => `${path}:${text.slice(0, index).split('\n').length}: ${name} is no arrow function`)
      return [...functions, ...matches(tree, path, /^\s+private (?!constructor)/gm, 'is not #private')]
    })

/**
 * Messages name commands as the user's project calls them, with src/core/program-call.ts. Examples and notes of commands are
 * rewritten by the help.
 */
export const hintsNameTheCall: Rule = (tree) =>
  [...tree.keys()]
    .filter((path) => /^src\/.*\.ts$/.test(path) && !isTest(path) && !isFixture(path))
    .filter((path) => path !== 'src/core/program-call.ts')
    .flatMap((path) => {
      const text = withoutComments(tree.get(path) ?? '').replace(
        /\b(example:\s*(['"`])[^\n]*\2,|notes: \[[^\]]*\])/g,
        (shown) => shown.replace(/[^\n]/g, ' '),
      )
      const call =
        /\b(npx|pnpm exec|yarn) tunesmith\b|(['"`\s(])tunesmith (?=--|[a-z]+[\s`'"])[^\n]*|\bnpm (install|run|exec) /g
      return matches(
        new Map([[path, text]]),
        path,
        call,
        'names a command without programCall, setupCall or installCall',
      )
    })

/** A cast past the compiler says why it is right, on its line or just above. */
export const castsHaveReasons: Rule = (tree) =>
  sources(tree)
    .filter((path) => !isTest(path) && !isFixture(path))
    .flatMap((path) => {
      const lines = (tree.get(path) ?? '').split('\n')
      return lines.flatMap((line, i) =>
        /\bas unknown as\b/.test(line) &&
        !lines.slice(Math.max(0, i - 2), i + 1).some((near) => /(^|\s)\/\/ /.test(near))
          ? [`${path}:${i + 1}: casts without a reason beside it`]
          : [],
      )
    })

/** Orders do not depend on the language of the user: texts are compared with `byCodeUnits` of core. */
export const ordersAreTheSameEverywhere: Rule = (tree) =>
  sources(tree).flatMap((path) => matches(tree, path, /\.localeCompare\(/g, 'depends on the language of the user'))

/** Unfinished work is finished, or in the issue tracker. */
export const nothingIsUnfinished: Rule = (tree) =>
  [...tree.keys()]
    .filter((path) => code.test(path) && !isFixture(path))
    .flatMap((path) => matches(tree, path, /\b(TO[D]O|FIX[M]E|X[X]X|HAC[K])\b/g, 'is unfinished', { comments: true }))

/** Nothing in the repository knows the machine it was written on, or another place to get packages than the public one. */
export const nothingIsLocal: Rule = (tree) =>
  [...tree].flatMap(([path, text]) => {
    if (path === 'package-lock.json') {
      return [...text.matchAll(/"resolved": "([^"]+)"/g)]
        .filter(([, url]) => !url.startsWith('https://registry.npmjs.org/'))
        .map(([, url]) => `${path}: ${url} is not the public registry`)
    }
    if (isFixture(path)) return []
    return [
      ...matches(
        tree,
        path,
        /(?<![\w.*~>])\/(root|work|home\/[a-z]\w*|Users\/[A-Za-z]\w*|opt\/wheels)\//g,
        'names a place on one machine',
        { comments: true },
      ),
      ...matches(tree, path, /\b(registry|index-url|find-links)\s*=\s*(https?:|\/)/g, 'names a package index', {
        comments: true,
      }),
    ]
  })

/** The first lines say what a file is. */
export const filesIntroduceThemselves: Rule = (tree) =>
  [...tree]
    .filter(
      ([path]) => /^(src|scripts|bench|native)\/.*\.(ts|mjs|cpp|h|py)$/.test(path) && !isTest(path) && !isFixture(path),
    )
    .filter(([, text]) => !/^(#!.*\n)?\s*(\/\/|\/\*|#|""")/.test(text))
    .map(([path]) => `${path}: does not say at its top what it is`)

interface MatchOptions {
  comments?: boolean
}

function matches(
  tree: Tree,
  path: string,
  pattern: RegExp,
  fault: string,
  { comments = false }: MatchOptions = {},
): string[] {
  const text = tree.get(path) ?? ''
  const searched = comments ? text : withoutComments(text)
  return [...searched.matchAll(pattern)].map((match) => {
    const line = searched.slice(0, match.index).split('\n').length
    return `${path}:${line}: ${fault}: ${match[0].trim()}`
  })
}
