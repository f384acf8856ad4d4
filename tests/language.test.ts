// Plain English, held by a test: words of the field in help, messages, comments and docs. The list has the forms that this project has
// used and that no reader searches for; CONTRIBUTING.md has the rules.
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { helpOf } from '../src/cli/command-help.ts'
import { commands } from '../src/cli/commands/index.ts'
import { readTree, type Tree } from './architecture/files.ts'

const repository = readTree(fileURLToPath(new URL('..', import.meta.url)))

/** Forms to avoid, and what to write instead. */
const forbidden: readonly [pattern: RegExp, instead: string][] = [
  [/\bunless given\b/i, '(default: …)'],
  [/\bheld[- ]out\b/i, 'validation'],
  [/\bwhoever\b/i, 'the subject itself'],
  [/\bknows no(thing)?\b/i, 'independent of'],
  [/\bscores of words\b/i, 'logits'],
  [/\b(in|of) fewer bits\b/i, 'quantised'],
  [/\bwas taught\b|\bwere taught\b/i, 'was fine-tuned on'],
  [/\bpassed over\b/i, 'skipped'],
  [/\bgo(es)? on with\b/i, 'continue, resume'],
  [/\blearnt\b/i, 'learned'],
  [/\ba user may say\b/i, 'settings'],
]

/** Comments and strings of code, as [line number, text]. */
const wordsOf = (path: string, text: string): [number, string][] => {
  if (path.endsWith('.md')) return text.split('\n').map((line, i) => [i + 1, line])
  return text.split('\n').flatMap((line, i) => {
    const comment = /(?:^|\s)(?:\/\/|\/?\*\*?)\s?(.*)$/.exec(line)?.[1] ?? ''
    const strings = [...line.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`?/g)]
    const text = [comment, ...strings.map(([, single, double, template]) => single ?? double ?? template ?? '')]
    return [[i + 1, text.join(' ')] as [number, string]]
  })
}

const findings = (tree: Tree): string[] =>
  [...tree]
    .filter(([path]) => /^(src|scripts|bin|recipes|docs|bench)\/|^(README|ARCHITECTURE|CONTRIBUTING)\.md$/.test(path))
    .filter(([path]) => /\.(ts|mjs|md)$/.test(path) && !/\/(golden|fixtures)\//.test(path))
    .flatMap(([path, text]) =>
      wordsOf(path, text).flatMap(([line, words]) =>
        forbidden
          .filter(([pattern]) => pattern.test(words))
          .map(([pattern, instead]) => `${path}:${line}: ${pattern.exec(words)![0]}: write ${instead}`),
      ),
    )

describe('plain English', () => {
  it('finds the forms to avoid in comments, strings and pages', () => {
    const bad = new Map([
      ['src/a.ts', "// Knows no model.\nconst text = 'the default unless given'\n"],
      ['docs/a.md', 'Loss on held-out text.\n'],
    ])
    expect(findings(bad)).toHaveLength(3)
    expect(findings(new Map([['src/a.ts', '// Independent of models.\nconst heldOut = 1\n']]))).toEqual([])
  })

  it('is kept in the source, the scripts and the documentation', () => {
    expect(findings(repository)).toEqual([])
  })

  it('describes flags noun first, in lower case, without a full stop, and without repeating the default', async () => {
    const faults: string[] = []
    for (const [name, load] of Object.entries(commands)) {
      for (const { name: flag, text } of helpOf((await load()) as never).flags) {
        const where = `tunesmith ${name} --${flag}: ${text}`
        if (text.trim() === '') faults.push(`${where}: no description`)
        if (/^of\b/.test(text)) faults.push(`${where}: begins with "of"`)
        if (
          /^[A-Z][a-z]/.test(text) &&
          !/^(Adam|Adafactor|Lion|Muon|Jinja|Python|JSON|Hugging|Nesterov|Welford|Markdown|MinHash|Hub|HTML|Gumbel|Newton|Unicode|Kaiming|Nucleus|Llama|Mirostat|Parquet|Common|Wikipedia|Gopher|WordPiece|Unigram|Viterbi|English|Softmax|Huber|Polyak|Pearson|Spearman|Matthews)/.test(
            text,
          )
        )
          faults.push(`${where}: begins with a capital`)
        if (
          /[a-z)]\.$/.test(text.replace(/ \((required|repeatable|default|one of).*\)$/, '')) &&
          !/\b(etc|e\.g)\.$/.test(text)
        )
          faults.push(`${where}: ends with a full stop`)
        if ((text.match(/default/g)?.length ?? 0) > 2) faults.push(`${where}: says the default more than once`)
      }
    }
    expect(faults).toEqual([])
    // It loads every command, which takes minutes on a busy machine.
  })
})
