// Takes the pictures of docs/studio.md: `node --import tsx scripts/docs/studio-screenshots.mjs RUNS` with a folder of runs, such as
// one of `quickstart`. Needs a Chromium.
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { createStudio } from '../../src/serving/index.ts'
import { findBrowser } from '../setup/browser.mjs'
import { SetupFault } from '../setup/report.mjs'
import { buildWeb } from '../setup/web.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const images = join(root, 'docs', 'images')
const size = { width: 1200, height: 760 }

/** Pages by the name of their picture; `ready` is a text that shows that a page is complete. */
const shots = (base, compared) => [
  { name: 'runs', hash: '#/runs', ready: base },
  { name: 'run', hash: `#/runs/${encodeURIComponent(base)}`, ready: 'Learning rate', dark: true },
  {
    name: 'compare',
    hash: `#/compare?runs=${compared.map(encodeURIComponent).join(',')}&view=scores`,
    ready: 'confidence interval',
  },
]

const [folder] = process.argv.slice(2)
const browserPath = findBrowser()
if (folder === undefined || browserPath === undefined)
  throw new SetupFault('The pictures need a folder of runs as an argument, and a Chromium.')
await buildWeb(root)
await mkdir(images, { recursive: true })
const studio = await createStudio({ port: 0, roots: [folder] })
const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] })
try {
  const { runs } = await (await fetch(`${studio.url}/api/runs`)).json()
  const ids = runs.map(({ id }) => id)
  const base = ids.find((id) => id === 'base') ?? ids[0]
  // The variants of one task: runs of one folder whose best score is that of the task.
  const scored = runs.filter(({ best }) => best?.metric === 'accuracy').map(({ id }) => id)
  const compared = scored.filter((id) => dirname(id) === dirname(scored[0]))
  for (const { name, hash, ready, dark = false } of shots(base, compared)) {
    const page = await browser.newPage({ viewport: size, colorScheme: dark ? 'dark' : 'light' })
    await page.goto(`${studio.url}/${hash}`)
    await page
      .getByText(ready)
      .first()
      .waitFor({ timeout: 20_000 })
      .catch(() => console.warn(`${name}: no ${ready}`))
    await page.waitForTimeout(1500)
    await page.screenshot({ path: join(images, `studio-${name}.png`) })
    await page.close()
    console.log(`wrote docs/images/studio-${name}.png`)
  }
} finally {
  await browser.close()
  await studio.close()
}
