// A run as one HTML file, opened from the disk without a server: it shows the same charts and texts, and names no place of this machine.
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AxeBuilder } from '@axe-core/playwright'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shareRuns } from '../../src/serving/index.ts'
import { withoutPlaces } from '../../src/tracking/index.ts'
import { browserPath, runsFolder, StudioUnderTest, stepEvent, writeEvents, writeJson } from './studio-fixture.ts'

const runs = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [runs] })

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-share-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const closing = '</script><script>document.title="taken"</script>'

beforeAll(async () => {
  const run = join(runs, 'shared')
  await writeEvents(run, [
    ...Array.from({ length: 500 }, (_, i) => stepEvent(i + 1, i === 250 ? { loss: 42.5 } : {})),
    { type: 'sample', time: new Date().toISOString(), step: 500, prompt: 'Once', text: closing },
    { type: 'note', time: new Date().toISOString(), step: 500, message: `Read ${runs}/data/rows.jsonl` },
  ])
  await writeJson(join(run, 'run.json'), {
    command: 'pretrain',
    data: '/srv/private-place/data/shards',
    reward: { url: 'https://name:word@host/score', apiKey: 'sk-very-secret', headers: { authorization: 'Bearer abc' } },
    out: run,
    tokens: 5,
  })
  await writeJson(join(run, 'run-card.json'), { name: run, dataHashes: { '/srv/private-place/data/shards': 'abc' } })
})

describe('a shared file', () => {
  it('has no folder of this machine and no secret', async () => {
    const text = await (await fetch(`${studio.url}/api/runs/shared/share`)).text()
    const [, data] = /<script type="application\/json" id="shared">(.*)<\/script>/.exec(text) as RegExpExecArray
    for (const secret of ['private-place', runs, tmpdir(), homedir(), process.cwd(), 'sk-very', 'Bearer', 'name:word'])
      expect(data).not.toContain(secret)
    expect(data).toContain('"data":"shards"')
    expect(data).toContain('Read data/rows.jsonl')
  })

  it('keeps numbers and names that only look like secrets', () => {
    const settings = { maxTokens: 5, tokenizer: 'bert', keep: { last: 2 }, token: 'abc' }
    expect(withoutPlaces(settings)).toEqual({ ...settings, token: '(left out)' })
  })

  it.skipIf(browserPath === undefined)('shows its charts, samples and settings from the disk', async () => {
    const path = join(folder, 'run.html')
    await shareRuns([join(runs, 'shared')], path)
    expect(await readFile(path, 'utf8')).not.toContain('src="')
    const browser = await chromium.launch({ executablePath: browserPath as string, args: ['--no-sandbox'] })
    try {
      const context = await browser.newContext()
      context.setDefaultTimeout(300_000)
      const page = await context.newPage()
      const faults: string[] = []
      page.on('console', (message) => message.type() === 'error' && faults.push(message.text()))
      page.on('pageerror', (error) => faults.push(error.message))
      page.on('request', (request) => !/^(file|blob|data):/.test(request.url()) && faults.push(request.url()))
      await page.goto(pathToFileURL(path).href)
      await page.getByRole('figure', { name: 'Loss by step' }).locator('canvas').waitFor()
      const download = page.waitForEvent('download')
      await page.getByRole('button', { name: 'Loss by step as CSV' }).click()
      expect(await readFile(await (await download).path(), 'utf8')).toContain('\n251,42.5,42.5,42.5\n')
      const { violations } = await new AxeBuilder({ page }).analyze()
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)).toEqual([])
      await page.getByRole('tab', { name: 'Samples' }).click()
      await page.getByText(closing).first().waitFor()
      await page.getByRole('tab', { name: 'Settings' }).click()
      await page.getByText('"shards"').waitFor()
      expect(await page.title()).toBe('shared · Tunesmith')
      expect(faults).toEqual([])
    } finally {
      await browser.close()
    }
  })

  it('is refused for folders without runs, with what to do', async () => {
    await writeFile(join(folder, 'nothing'), '')
    await expect(shareRuns([folder], join(folder, 'none.html'))).rejects.toThrow('Check the paths')
    await expect(shareRuns([join(folder, 'absent')], join(folder, 'none.html'))).rejects.toThrow('Check the path')
  })
})
