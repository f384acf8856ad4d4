// What a changed file reaches without an import: tests that read pages, compile native/, open the studio's pages or start scripts.

/** [changed files, test files, distance]. */
const rules = [
  [/\.md$/, /^tests\/(?:docs\/docs|language)\.test\.ts$/, 0],
  [/^docs\/benchmarks\.json$/, /^tests\/docs\/docs\.test\.ts$/, 0],
  [/^(?:README\.md|docs\/.*\.md)$/, /^tests\/docs\/code\.test\.ts$/, 1],
  [/^src\/.*(?<!\.test)\.ts$/, /^tests\/(?:architecture|language)\.test\.ts$/, 1],
  [/^native\//, /^(?:src\/tensor|src\/nn|tests\/engine|tests\/parity)\//, 1],
  [/^native\//, /./, 2],
  [/^web\//, /^tests\/studio\//, 1],
  [/^web\/specialist\//, /^tests\/export\/web\.test\.ts$/, 0],
  [/^scripts\//, /^tests\/setup\//, 1],
  [/^recipes\//, /^tests\/recipes\.test\.ts$/, 0],
  [/^bench\//, /^tests\/bench\//, 1],
  [/^quickstart\//, /^tests\/e2e\/quickstart\.test\.ts$/, 0],
  [/^(?:package\.json|package-lock\.json|vitest\.config\.ts|scripts\/setup\/)/, /^tests\/setup\/package\.test\.ts$/, 1],
]

/** [test file, distance] for each of `tests` that a rule names. */
export const reachedWithoutImports = (changed, tests) =>
  rules.flatMap(([from, to, distance]) =>
    changed.some((path) => from.test(path))
      ? tests.filter((path) => to.test(path)).map((path) => [path, distance])
      : [],
  )

/** For tests/docs: only the changed pages run their code. All do where no page changed. */
export const pagesReadBy = (changed) => {
  const pages = changed.filter((path) => path.endsWith('.md'))
  return pages.length === 0 ? {} : { TUNESMITH_TEST_PAGES: pages.join(',') }
}
