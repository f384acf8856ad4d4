// The model in training answers between its steps, with the weights of one step, and training gives the same bytes as without.
import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FinetuneInput, finetune, pretrain, type RunListener } from '../../src/runs/index.ts'
import { createServer, LiveModel, type StudioProcess, startStudioProcess } from '../../src/serving/index.ts'
import { readLiveFile } from '../../src/serving/live/live-run.ts'
import type { MatrixState } from '../../src/serving/studio/types/compare-types.ts'
import { isBatchInvariant } from '../../src/tensor/index.ts'
import { eventsOf, makeSmallData, remainsOf, type SmallData, smallRecipe } from '../training/small-run.ts'
import { browserPath, isLostConnection, runsFolder, StudioUnderTest } from './studio-fixture.ts'

const runs = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [runs] })
let data: SmallData
beforeAll(async () => {
  data = await makeSmallData('bpe')
})
afterAll(() => data.dispose())

/** Everything that a run remembers is in use, dropout too. */
const causal = (out: string, more: object = {}) =>
  smallRecipe(data, out, {
    model: { type: 'gpt2', preset: 'test', config: { numLayers: 1, hiddenDropout: 0.2 } },
    objective: { type: 'causal-lm' },
    ...more,
  })

interface Answer {
  step: number
  status: number
  body: {
    choices?: { text: string; logprobs: { token_logprobs: number[] } }[]
    error?: { message: string }
    data?: unknown[]
  }
}

const ask = async (folder: string, path: string, request: object): Promise<Answer> => {
  const address = await readLiveFile(folder)
  const response = await fetch(`${address!.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${address!.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...request, model: 'model' }),
  })
  return {
    step: Number(response.headers.get('x-tunesmith-step')),
    status: response.status,
    body: (await response.json()) as Answer['body'],
  }
}

const prompt = { prompt: 'the river', max_tokens: 6, temperature: 0.8, seed: 3, logprobs: 2 }

/** Asks again and again while a run trains. */
class Asking {
  readonly answers: Answer[] = []
  #asked: Promise<unknown> = Promise.resolve()
  #stopped = false

  /** @param questions paths with their requests */
  listener(folder: string, questions: readonly (readonly [string, object])[]): RunListener {
    return {
      onModel: async (model) => {
        const live = await LiveModel.open(model, {}, { onError: (error) => console.error(error) })
        this.#asked = this.#askOn(folder, questions)
        return live
      },
      onEvent: ({ type }) => {
        if (type === 'end') this.#stopped = true
      },
    }
  }

  async #askOn(folder: string, questions: readonly (readonly [string, object])[]): Promise<void> {
    while (!this.#stopped)
      for (const [path, request] of questions) {
        const answer = await ask(folder, path, request).catch(() => undefined)
        if (answer !== undefined) this.answers.push(answer)
      }
  }

  done(): Promise<unknown> {
    return this.#asked
  }
}

describe('a model in training', () => {
  it('answers with the weights of one step, and leaves training as it is', async () => {
    const [plain, asked] = [join(runs, 'plain'), join(runs, 'asked')]
    const more = { budget: { steps: 60 }, keep: { last: 30, best: 'loss' } }
    await pretrain(causal(plain, more))
    const asking = new Asking()
    const invariant = isBatchInvariant()
    await pretrain(
      causal(asked, more),
      asking.listener(asked, [
        ['/v1/completions', prompt],
        ['/v1/embeddings', { input: ['the old river', 'a stone'] }],
      ]),
    )
    await asking.done()
    const answered = asking.answers.filter(({ status }) => status === 200)
    expect(answered.length).toBeGreaterThan(3)
    expect(new Set(answered.map(({ step }) => step)).size).toBeGreaterThan(2)
    expect(isBatchInvariant()).toBe(invariant)
    expect(remainsOf(asked)).toEqual(remainsOf(plain))
    expect(await eventsOf(asked)).toEqual(await eventsOf(plain))
    await expect(stat(join(asked, '.live.json'))).rejects.toThrow()

    const texts = answered.filter(({ body, step }) => body.choices !== undefined && step > 0 && step % 3 === 0)
    expect(texts.length).toBeGreaterThan(0)
    const { step, body } = texts[0]
    const server = await createServer({
      model: join(asked, 'checkpoints', `step-${String(step).padStart(8, '0')}`, 'model'),
      name: 'model',
      port: 0,
    })
    const again = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...prompt, model: 'model' }),
    })
    const { choices } = (await again.json()) as Answer['body']
    await server.close()
    expect(choices).toEqual(body.choices)
  })

  it('classifies with an adapter in training, which stays active', async () => {
    const base = join(runs, 'plain', 'model')
    const records = Array.from({ length: 48 }, (_, i) => ({
      text: i % 2 === 0 ? 'the green river walks' : 'a small stone of light',
      label: i % 2 === 0 ? 'river' : 'stone',
    }))
    const path = join(runs, 'records.jsonl')
    await writeFile(path, records.map((record) => JSON.stringify(record)).join('\n'))
    const recipe = (out: string) =>
      ({
        base,
        task: 'sequence-classification',
        data: path,
        validation: path,
        variant: 'lora',
        adapter: { rank: 2 },
        out,
        batch: { sequences: 4 },
        budget: { epochs: 4 },
      }) as FinetuneInput
    const [plain, asked] = [join(runs, 'lora'), join(runs, 'lora-asked')]
    await finetune(recipe(plain))
    const asking = new Asking()
    await finetune(recipe(asked), asking.listener(asked, [['/v1/classify', { input: ['the green river'] }]]))
    await asking.done()
    const answered = asking.answers.filter(({ status }) => status === 200)
    expect(answered.length).toBeGreaterThan(2)
    const share = ({ body }: Answer) =>
      (body.data as { probabilities: Record<string, number> }[])[0].probabilities.river
    expect(share(answered.at(-1)!)).not.toBe(share(answered[0]))
    // How long the evaluation took is no result.
    const untimed = ({ 'model/timing.json': _, ...files }: Record<string, string>) => files
    expect(untimed(remainsOf(asked))).toEqual(untimed(remainsOf(plain)))
  })

  it('is scored on the tasks of other runs when a page asks for it', async () => {
    const path = '/api/comparison/matrix'
    const [own, both] = ['lora', 'lora,lora-asked']
    expect(await studio.json(`${path}?runs=${own}`)).toMatchObject({ state: 'none', matrix: null })
    expect(await studio.post(path, { runs: 'nowhere', limit: 1 })).toHaveProperty('error')
    expect(await studio.post(path, { runs: own, limit: 0 })).toMatchObject({ error: { param: 'limit' } })
    await studio.post(path, { runs: both, limit: 12 })
    expect(await studio.post(path, { runs: own, limit: 12 })).toMatchObject({ error: { code: 'matrix_busy' } })
    await expect.poll(() => studio.json(`${path}?runs=${encodeURIComponent(both)}`)).toMatchObject({ state: 'done' })
    const { matrix } = await studio.json<MatrixState>(`${path}?runs=${encodeURIComponent(both)}`)
    expect(matrix).toMatchObject({
      columns: [{ task: 'sequence-classification', metric: 'accuracy', records: 12 }],
      rows: [{ kind: 'base' }, { name: 'lora' }, { name: 'lora-asked' }],
    })
    // Both were trained alike; the base has no head for the task.
    const [base, first, second] = matrix!.rows.map(({ cells }) => cells[0])
    expect(base).toHaveProperty('missing')
    expect(first).toEqual(second)
    expect(await studio.json(`${path}?runs=${own}`)).toMatchObject({ state: 'none' })
  })

  it.skipIf(browserPath === undefined)(
    'is a row of the table of every specialist on every task, in a file too',
    async () => {
      const chosen = encodeURIComponent('lora,lora-asked')
      const watched = await studio.open(`#/compare?runs=${chosen}&view=tasks`)
      await watched.page.getByRole('button', { name: 'Score again' }).waitFor()
      const file = join(runs, 'matrix.html')
      const saved = await fetch(`${studio.url}/api/comparison/share?runs=${chosen}`)
      await writeFile(file, await saved.text())
      const offline = await studio.openFile(file)
      await offline.page.getByRole('tab', { name: 'Specialists by task' }).click()
      for (const { page } of [watched, offline]) {
        const table = page.getByRole('region', { name: 'Every model on every task' })
        await table.getByRole('columnheader', { name: /sequence-classification, accuracy, 12 records/ }).waitFor()
        const scores = table.getByRole('row', { name: /^lora(-asked)? \d\.\d{3} \[.*best/ })
        expect(await scores.count()).toBe(2)
        await table.getByRole('row', { name: /base/ }).getByText('–').waitFor()
      }
      expect(await offline.page.getByRole('button', { name: /Score/ }).count()).toBe(0)
      await studio.checkAndClose(watched)
      await studio.checkAndClose(offline)
    },
  )

  it('refuses requests without the token, and writes a file that only its user reads', async () => {
    const out = join(runs, 'guarded')
    let seen: { status: number; mode: number; late: number } | undefined
    await pretrain(causal(out, { budget: { steps: 1 } }), {
      onModel: async (model) => {
        const live = await LiveModel.open(model)
        const { url } = (await readLiveFile(out))!
        const refused = await fetch(`${url}/v1/models`)
        const { mode } = await stat(join(out, '.live.json'))
        const waiting = ask(out, '/v1/completions', prompt)
        // Nobody asks the model before its next step, which does not come: the run ends.
        return {
          beforeStep: () => undefined,
          close: async () => {
            await live.close()
            seen = { status: refused.status, mode: mode & 0o777, late: (await waiting).status }
          },
        }
      },
    })
    expect(seen).toEqual({ status: 401, mode: 0o600, late: 503 })
    expect(await readLiveFile(out)).toBeUndefined()
    await rm(out, { recursive: true })
  })
})

describe.skipIf(browserPath === undefined)('the page of a run in training', () => {
  it('asks the weights of a step, asks again as they change, and connects again after a kill of the studio', async () => {
    const out = join(runs, 'watched')
    const stop = new AbortController()
    let shown: (process: StudioProcess) => void = () => undefined
    const started = new Promise<StudioProcess>((resolve) => {
      shown = resolve
    })
    const endless = { budget: { steps: 1_000_000 }, evaluate: {}, checkpoint: { steps: 1000 }, keep: { last: 1 } }
    const ended = pretrain(causal(out, endless), {
      signal: stop.signal,
      onModel: async (model) => {
        const live = await LiveModel.open(model)
        shown(await startStudioProcess({ roots: [out], port: 0 }))
        return live
      },
    })
    try {
      const process_ = await started
      const watched = await studio.open('#/playground?a=watched%40live', { url: process_.url })
      const { page } = watched
      await page.getByLabel('Prompt').fill('the river')
      await page.getByRole('button', { name: 'Ask', exact: true }).click()
      const pane = page.getByRole('region', { name: 'Answer of watched@live' })
      const stepOf = async (nth: number) =>
        Number(/step ([\d,]+), live/.exec((await pane.locator('header').nth(nth).textContent())!)![1].replace(/,/g, ''))
      const again = page.getByRole('button', { name: 'Ask again' })
      const isDone = () => again.and(page.locator(':enabled')).waitFor()
      await isDone()
      const first = await stepOf(0)
      await again.click()
      await pane.getByText('Earlier answers (1)').waitFor()
      await isDone()
      expect(await stepOf(0)).toBeGreaterThan(first)
      expect(await stepOf(1)).toBe(first)
      await page.getByLabel('Steps between two answers').fill('5')
      await page.getByLabel('every', { exact: false }).first().check()
      await pane.getByText('Earlier answers (3)').waitFor()
      await page.getByLabel('every', { exact: false }).first().uncheck()
      await isDone()
      expect(watched.faults).toEqual([])

      const before = process_.processId!
      const step = await stepOf(0)
      process.kill(before, 'SIGKILL')
      const status = page.getByRole('navigation').getByRole('status')
      await status.getByText('Reconnecting …').waitFor()
      await status.getByText('Reconnecting …').waitFor({ state: 'detached' })
      expect(process_.processId).not.toBe(before)
      await again.click()
      await isDone()
      expect(await stepOf(0)).toBeGreaterThan(step)

      stop.abort()
      expect((await ended).reason).toBe('interrupted')
      await process_.close()
      await status.getByText('The run has ended, and this page with it.').waitFor()
      // The browser itself reports the connections that the kill broke.
      await studio.checkAndClose(watched, isLostConnection)
    } finally {
      stop.abort()
      await ended
      await (await started).close()
    }
  })
})
