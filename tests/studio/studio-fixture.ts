// A studio over real folders, its pages in a real Chromium, and runs whose events the test writes. Every page is watched: an error in its
// console or a request to another server fails the test.
import { mkdtempSync, rmSync } from 'node:fs'
import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, chromium, type Locator, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { createStudio, type RunningStudio } from '../../src/serving/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { loadScript } from '../setup/load-script.ts'

/** Where pictures of the pages are left: one for each test that opens a page, as it ended. */
const pictures = fileURLToPath(new URL('../../build/screenshots', import.meta.url))

/** The folder of the repository. */
export const repository = fileURLToPath(new URL('../..', import.meta.url))
const { findBrowser } = await loadScript<{ findBrowser(): string | undefined }>('browser.mjs')
const { buildWeb } = await loadScript<{ buildWeb(root: string): Promise<void> }>('web.mjs')

/** Path of the browser; undefined where there is none. */
export const browserPath = findBrowser()

/** A folder for the runs of a test file, removed at its end. */
export const runsFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-studio-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Writes events into a run's folder, after those that are there. */
export const writeEvents = async (folder: string, events: readonly TrainingEvent[]): Promise<void> => {
  await mkdir(folder, { recursive: true })
  await appendFile(join(folder, 'events.jsonl'), events.map((event) => `${JSON.stringify(event)}\n`).join(''))
}

/** Writes a JSON file of a run. */
export const writeJson = async (path: string, value: unknown): Promise<void> => {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, JSON.stringify(value))
}

/** The event of a step whose loss falls. */
export const stepEvent = (
  step: number,
  more: Partial<Extract<TrainingEvent, { type: 'step' }>> = {},
): TrainingEvent => ({
  type: 'step',
  time: new Date(Date.UTC(2026, 0, 1) + step * 1000).toISOString(),
  step,
  loss: 5 / Math.sqrt(step),
  learningRate: 1e-3,
  gradientNorm: 1,
  tokens: step * 1000,
  tokensPerSecond: 1000,
  seconds: 1,
  dataSeconds: 0.01,
  memoryBytes: 2 ** 30,
  totalSteps: 1000,
  ...more,
})

/** The events of steps whose loss falls. */
export const stepEvents = (from: number, to: number, more: Parameters<typeof stepEvent>[1] = {}): TrainingEvent[] =>
  Array.from({ length: to - from + 1 }, (_, i) => stepEvent(from + i, more))

/** Whether a fault is what the browser itself reports of a connection whose server was killed. */
export const isLostConnection = (fault: string): boolean => /ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY/.test(fault)

/** Whether an element has the focus. */
export const hasFocus = (target: Locator): Promise<boolean> =>
  target.evaluate((element) => element === element.ownerDocument.activeElement)

/** Presses the tab key until an element has the focus. @throws Error for one that it does not reach */
export const tabTo = async (target: Locator, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> => {
  for (let presses = 0; presses < 100; presses++) {
    if (await hasFocus(target)) return
    await target.page().keyboard.press(key)
  }
  throw new Error(`The tab key does not reach ${target}.`)
}

/** A page that is watched until it is closed. */
export interface WatchedPage {
  page: Page
  /** Errors of its console and requests to other servers, so far. */
  faults: string[]
}

/** A studio and a browser for all tests of a file. */
export class StudioUnderTest {
  studio: RunningStudio | undefined
  #browser: Browser | undefined
  readonly #open = new Set<Page>()

  /** Address of the studio. */
  get url(): string {
    return this.studio!.url
  }

  /** Starts both before the tests and ends them after. */
  use(settings: Parameters<typeof createStudio>[0]): void {
    beforeAll(async () => {
      await buildWeb(repository)
      this.studio = await createStudio({ port: 0, ...settings })
      if (browserPath !== undefined)
        this.#browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] })
    })
    // A test that failed has left its pages open: their pictures say where it stood.
    afterEach(async () => {
      for (const page of this.#open) await this.#closeWithPicture(page)
    })
    afterAll(async () => {
      await this.#browser?.close()
      await this.studio?.close()
    })
  }

  /** Opens a page of the studio: `#/runs`. @param options.url of another studio */
  async open(
    hash: string,
    { width = 1280, height = 800, url = this.url }: { width?: number; height?: number; url?: string } = {},
  ): Promise<WatchedPage> {
    return this.#watch(`${url}/${hash}`, { width, height })
  }

  /** Opens a file that was saved, without a server. */
  openFile(path: string): Promise<WatchedPage> {
    return this.#watch(pathToFileURL(path).href, { width: 1280, height: 800 })
  }

  async #watch(address: string, viewport: { width: number; height: number }): Promise<WatchedPage> {
    const context = await this.#browser!.newContext({ viewport })
    context.setDefaultTimeout(300_000)
    const page = await context.newPage()
    const faults: string[] = []
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(`console: ${message.text()}`)
    })
    page.on('pageerror', (error) => faults.push(`error: ${error.message}`))
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url())
      if (protocol.startsWith('http') && hostname !== '127.0.0.1') faults.push(`foreign request: ${request.url()}`)
    })
    this.#open.add(page)
    await page.goto(address)
    return { page, faults }
  }

  /**
   * Checks that a page is without faults and, by axe, accessible; then closes it.
   * @param isExpected faults that the test itself has caused
   */
  async checkAndClose({ page, faults }: WatchedPage, isExpected?: (fault: string) => boolean): Promise<void> {
    const { violations } = await new AxeBuilder({ page }).analyze()
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)).toEqual([])
    expect(faults.filter((fault) => !isExpected?.(fault))).toEqual([])
    await this.#closeWithPicture(page)
  }

  async #closeWithPicture(page: Page): Promise<void> {
    this.#open.delete(page)
    const { testPath = '', currentTestName = '' } = expect.getState()
    const name = `${basename(testPath, '.test.ts')} ${currentTestName}`.replace(/[^\w]+/g, '-').slice(0, 120)
    // A page that is gone, or hangs, has no picture.
    await page.screenshot({ path: join(pictures, `${name}.png`), timeout: 60_000 }).catch(() => undefined)
    await page.context().close()
  }

  /** The answer of the API, as JSON. */
  async json<T>(path: string, init?: RequestInit): Promise<T> {
    const response = await fetch(`${this.url}${path}`, init)
    return (await response.json()) as T
  }

  /** The answer of the API to JSON. */
  post<T>(path: string, body: object): Promise<T> {
    const headers = { 'content-type': 'application/json' }
    return this.json<T>(path, { method: 'POST', body: JSON.stringify(body), headers })
  }
}
