// The page that `npm run test:mutants` writes: the score of the CI suite beside the full one. It has no dates and no times, so that a second
// run with the same seed gives the same text.
import { folders } from './instrument.mjs'

const percent = (part, whole) => (whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`)

const countsOf = (results) => {
  const killed = results.filter(({ suite }) => suite !== 'none').length
  const ci = results.filter(({ suite }) => suite === 'ci').length
  return { mutants: results.length, full: killed, ci, ratio: killed === 0 ? null : ci / killed }
}

const describeMutant = ({ mutant, by, how, cut }) => ({
  place: `${mutant.file}:${mutant.line}:${mutant.column}`,
  mutator: mutant.mutator,
  replacement: mutant.replacement,
  ...(by === undefined ? {} : { by }),
  ...(how === undefined ? {} : { how }),
  ...(cut === undefined ? {} : { cut }),
})

/** The counts, and the mutants that a suite misses. */
export const summarise = (results, facts) => {
  const total = countsOf(results)
  return {
    ...facts,
    score: `CI kills ${total.ci} of the ${total.full} mutants that the full suite kills: ${percent(total.ci, total.full)}`,
    total,
    folders: folders
      .map((folder) => ({ folder, ...countsOf(results.filter((result) => result.folder === folder)) }))
      .filter(({ mutants }) => mutants > 0),
    timeOuts: results.filter(({ how }) => how === 'time-out').length,
    missedByCi: results.filter(({ suite }) => suite === 'full').map(describeMutant),
    survivors: results.filter(({ suite }) => suite === 'none').map(describeMutant),
  }
}

/** In one line, as code of Markdown. */
const codeOf = (text) => {
  const line = text.replaceAll(/\s+/g, ' ')
  return `\`${(line.length > 60 ? `${line.slice(0, 59)}…` : line).replaceAll('`', "'")}\``
}
const itemOf = ({ place, mutator, replacement, by, how, cut }) => {
  const killer = by === undefined ? how : by
  const end = killer === undefined ? '' : `\n  killed by ${killer}`
  return `- ${place} ${mutator}: ${codeOf(replacement)}${cut ? ' (not all files)' : ''}${end}`
}
const listOf = (items) => (items.length === 0 ? 'None.' : items.map(itemOf).join('\n'))

/** The summary as a page of Markdown. */
export const writePage = (summary) => {
  const { total, seed, seconds, files } = summary
  const rows = [...summary.folders, { folder: 'all', ...total }].map(
    ({ folder, mutants, full, ci }) => `| ${folder} | ${mutants} | ${full} | ${ci} | ${percent(ci, full)} |`,
  )
  const leftOut =
    summary.leftOut.length === 0
      ? ''
      : `\nLeft out, since their tests are skipped here or fail with instrumented sources:\n\n${summary.leftOut
          .map((file) => `- ${file}`)
          .join('\n')}\n`
  return `# Mutation testing

Is the CI suite (\`npm test\`) as sharp as the full one (\`npm run test:full\`)? \`npm run test:mutants\` plants faults
(mutants) in the folders where a fault gives a wrong number and no error, one at a time, and runs the tests. It writes
this page, and with the same seed and sources the same page.

**${summary.score}.** ${percent(total.full, total.mutants)} of all ${total.mutants} mutants are killed by the full suite.

| folder of src | mutants | killed by the full suite | killed by CI | CI of full |
| --- | ---: | ---: | ---: | ---: |
${rows.join('\n')}

## How it works

- The instrumenter of Stryker writes all ${summary.mutants} mutants into the sources, each behind a switch, so one build
  serves all. Mutants of text (messages, descriptions) are left out: a wrong message is not a wrong number.
- Each of the ${files.full} test files of the full suite runs once and records which mutants it executes. CI has
  ${files.ci} of them. ${summary.reached} mutants are executed by a test.
- ${total.mutants} of these are a random sample with seed ${seed}: each folder by its number of mutants, and at least a
  twentieth for each.
- Each mutant meets the CI test files that execute it, the cheapest and nearest first, until one fails. If all pass, it
  meets those files of the full suite that CI leaves out or runs with smaller grids. Files that are the same in both
  suites do not run twice.
- A time-out (20 seconds and four times what the files take) counts as killed, if the same files without a mutant end in
  half of that: ${summary.timeOuts} here.
- Test files that killed a mutant also run without one. A file that fails then is left out.

## Limits

- A mutant meets test files of at most ${seconds} seconds in CI, and ${2 * seconds} more of the full suite. Survivors
  that other files also execute are marked "not all files".
- The strict device does not run. Programs that tests start from dist/ have no mutants, so tests of programs, groups of
  processes, pages and set-up (tests/e2e, distributed, studio, docs, setup, bench) are left out. Threads and processes
  that src starts have them.
- Some mutants compute the same as the source, so no suite can kill all of them.
${leftOut}
## Killed by the full suite and not by CI

${listOf(summary.missedByCi)}

## Killed by neither

Work left, or the same result as the source.

${listOf(summary.survivors)}
`
}
