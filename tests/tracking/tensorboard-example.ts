// Writes the event files of a run that was killed after step 6 and went on from its checkpoint of step 4. With a folder as its
// argument it writes them there, for make-golden.py; tests/tracking/tensorboard.test.ts writes them again and compares.
import { openTensorBoard, type TrainingEvent, writeToTensorBoard } from '../../src/tracking/index.ts'

const second = 1_700_000_000
const timeOf = (seconds: number) => new Date((second + seconds) * 1000).toISOString()

const stepEvent = (step: number, session: number): TrainingEvent => ({
  type: 'step',
  time: timeOf(100 * session + step + 0.25),
  step,
  loss: session === 0 && step > 4 ? 99 : 8 / step,
  terms: { masked: 6 / step, relation: 2 / step },
  learningRate: step * 1e-4,
  gradientNorm: step === 3 ? Number.NaN : 1 / 3,
  tokens: step * 5_000_000_000,
  tokensPerSecond: 1234.5,
  seconds: 0.5,
  dataSeconds: 0,
  memoryBytes: 2 ** 31 + step,
  totalSteps: 1000,
})

/** The events of both sessions, the second from step 5 on. */
const sessions: { purgeStep?: number; events: TrainingEvent[] }[] = [
  {
    events: [
      { type: 'start', time: timeOf(0), step: 0 },
      ...[1, 2, 3, 4, 5, 6].map((step) => stepEvent(step, 0)),
      { type: 'evaluation', time: timeOf(7), step: 6, metrics: { loss: 99, perplexity: 99 }, seconds: 1, best: false },
    ],
  },
  {
    purgeStep: 5,
    events: [
      ...[5, 6, 7].map((step) => stepEvent(step, 1)),
      {
        type: 'evaluation',
        time: timeOf(108),
        step: 7,
        metrics: { loss: 1.5, perplexity: 4.481689 },
        seconds: 1,
        best: false,
      },
      { type: 'sample', time: timeOf(109), step: 7, prompt: 'Der Bär', text: 'läuft.\n\nUnd <b>schläft</b> 🐻.' },
      { type: 'incident', time: timeOf(110), step: 7, kind: 'spike', message: `a long one: ${'x'.repeat(300)}` },
      { type: 'note', time: timeOf(111), step: 2 ** 40, message: 'a step beyond 32 bits' },
    ],
  },
]

export function writeExample(folder: string): string[] {
  return sessions.map(({ purgeStep, events }, i) => {
    const board = openTensorBoard(folder, { purgeStep, now: () => second + 100 * i })
    for (const event of events) writeToTensorBoard(board, event)
    board.close()
    return board.path
  })
}

if (process.argv[1]?.endsWith('tensorboard-example.ts')) writeExample(process.argv[2])
