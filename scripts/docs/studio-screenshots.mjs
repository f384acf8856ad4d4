// Takes the pictures of docs/studio.md: `node --import tsx scripts/docs/studio-screenshots.mjs RUNS [NAME…]` with a folder of runs, such as
// one of `quickstart`, and names of pictures (default: all). Needs a Chromium.
import { mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { createStudio } from '../../src/serving/index.ts'
import { findBrowser } from '../setup/browser.mjs'
import { SetupFault } from '../setup/report.mjs'
import { buildWeb } from '../setup/web.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const images = join(root, 'docs', 'images')
const size = { width: 1200, height: 760 }

/** Runs in the page: folders of this machine are in no picture. */
const hideFolders = (places) => {
  const hidden = (text) => places.reduce((shown, [place, name]) => shown.replaceAll(place, name), text)
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) texts.currentNode.data = hidden(texts.currentNode.data)
  for (const field of document.querySelectorAll('input, textarea')) field.value = hidden(field.value)
}

/** Asks a model and waits for its answer. */
const askModel = async (page) => {
  await page.getByLabel('Prompt').fill('The origin of species is')
  await page.getByRole('button', { name: 'Ask', exact: true }).click()
  await page.getByRole('button', { name: 'Ask again', disabled: false }).waitFor({ timeout: 300_000 })
}

/** Scores all chosen models on all tasks. */
const scoreAll = async (page) => {
  await page.getByLabel('Records of each task').fill('50')
  await page.getByRole('button', { name: 'Score all models' }).click()
  await page.getByRole('button', { name: 'Score again' }).waitFor({ timeout: 600_000 })
  await page.getByRole('button', { name: 'Score again' }).scrollIntoViewIfNeeded()
}

/** Pages by the name of their picture; `ready` is a text that shows that a page is complete, `act` what is done there. */
const shots = ({ base, compared, several, shards, aligned, preferring, sweep }) => [
  { name: 'runs', hash: '#/runs', ready: base },
  { name: 'run', hash: `#/runs/${encodeURIComponent(base)}`, ready: 'Learning rate', dark: true },
  {
    name: 'compare',
    hash: `#/compare?runs=${compared.map(encodeURIComponent).join(',')}&view=scores`,
    ready: 'confidence interval',
  },
  {
    name: 'predictions',
    hash: `#/compare?runs=${compared.map(encodeURIComponent).join(',')}&view=predictions`,
    ready: 'Reference',
  },
  {
    name: 'tasks',
    hash: `#/compare?runs=${several.map(encodeURIComponent).join(',')}&view=tasks`,
    ready: 'Score all models',
    act: scoreAll,
  },
  {
    name: 'new',
    hash: `#/new/finetune?from=${encodeURIComponent(compared.at(-1))}`,
    ready: 'Peak of',
  },
  ...(sweep === undefined
    ? []
    : [{ name: 'sweep', hash: `#/sweeps/${encodeURIComponent(sweep)}`, ready: 'Best trial', height: 960 }]),
  ...(aligned === undefined
    ? []
    : [{ name: 'alignment', hash: `#/alignment/${encodeURIComponent(aligned)}`, ready: 'Completion', dark: true }]),
  ...(preferring === undefined
    ? []
    : [{ name: 'preferences', hash: `#/alignment/${encodeURIComponent(preferring)}`, ready: 'Margin' }]),
  ...(shards === undefined ? [] : [{ name: 'data', hash: `#/data/${encodeURIComponent(shards)}`, ready: 'Document' }]),
  {
    name: 'playground',
    hash: `#/playground?a=${encodeURIComponent(`${base}@model`)}`,
    ready: 'Prompt',
    dark: true,
    act: askModel,
  },
]

const [folder] = process.argv.slice(2)
const browserPath = findBrowser()
if (folder === undefined || browserPath === undefined)
  throw new SetupFault('The pictures need a folder of runs as an argument, and a Chromium.')
const places = [
  [resolve(folder), 'runs'],
  [root, ''],
]
await buildWeb(root)
await mkdir(images, { recursive: true })
const studio = await createStudio({ port: 0, roots: [folder] })
const chosenNames = process.argv.slice(3)
const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] })
try {
  const { runs } = await (await fetch(`${studio.url}/api/runs`)).json()
  const ids = runs.map(({ id }) => id)
  const base = ids.find((id) => id === 'base') ?? ids[0]
  // The variants of one task: runs of one folder whose best score is that of the task.
  const scored = runs.filter(({ best }) => best?.metric === 'accuracy').map(({ id }) => id)
  const compared = scored.filter((id) => dirname(id) === dirname(scored.at(-1)))
  // Specialists of other tasks beside two of this one.
  const others = runs.filter(
    ({ command, best }) => ['finetune', 'multitask'].includes(command) && best?.metric !== 'accuracy',
  )
  const pretrained = [...compared.slice().reverse(), ...others.map(({ id }) => id)].filter(
    (id) => !id.includes('random'),
  )
  const several = pretrained.slice(0, 5)
  const finished = (part) => runs.find(({ title, state }) => state === 'finished' && title.includes(part))?.id
  const [aligned, preferring] = [finished('grpo'), finished('dpo')]
  const { sweeps } = await (await fetch(`${studio.url}/api/sweeps`)).json()
  const { sources } = await (await fetch(`${studio.url}/api/data`)).json()
  const isOfBase = ({ kind, uses }) => kind === 'shards' && uses.some(({ run }) => run === base)
  const shards = sources.find(isOfBase)?.id
  for (const { name, hash, ready, dark = false, height = size.height, act } of shots({
    base,
    compared,
    several,
    shards,
    aligned,
    preferring,
    sweep: sweeps[0]?.id,
  })) {
    if (chosenNames.length > 0 && !chosenNames.includes(name)) continue
    const page = await browser.newPage({ viewport: { ...size, height }, colorScheme: dark ? 'dark' : 'light' })
    await page.goto(`${studio.url}/${hash}`)
    await page
      .getByText(ready)
      .first()
      .waitFor({ timeout: 300_000 })
      .catch(() => console.warn(`${name}: no ${ready}`))
    await act?.(page)
    // No row is shown as it is under the mouse.
    await page.mouse.move(0, 0)
    await page.waitForTimeout(1500)
    await page.evaluate(hideFolders, places)
    await page.screenshot({ path: join(images, `studio-${name}.png`) })
    await page.close()
    console.log(`wrote docs/images/studio-${name}.png`)
  }
} finally {
  await browser.close()
  await studio.close()
}
