// What a run of several processes loses when one of them ends: `node --import tsx bench/lost-ranks.ts [kills]` starts a small pretraining of
// 4 processes with `launch --restarts`, sends SIGKILL or SIGSTOP to a random rank at random moments, and compares the finished run with an
// undisturbed one. Prints how long each group took to end.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createRandom, sha256 } from '../src/core/index.ts'
import { haveEnded, ranksOf, recordedSteps, startProgram, until } from '../tests/distributed/rank-processes.ts'
import { makeSmallData, smallRecipe } from '../tests/training/small-run.ts'

const kills = Number(process.argv[2] ?? 10)
const processes = 4
const interval = 5
const random = createRandom('lost ranks')
const data = await makeSmallData()
const steps = interval * (3 * kills + 2)
const env = { OMP_NUM_THREADS: '1', TUNESMITH_HEARTBEAT_SECONDS: '4', TUNESMITH_CONNECT_SECONDS: '120' }

const start = (out: string, restarts: number) => {
  const more = { batch: { sequences: 8 }, budget: { steps }, checkpoint: { steps: interval }, evaluate: {}, keep: {} }
  const file = `${out}.json`
  writeFileSync(file, JSON.stringify(smallRecipe(data, out, { ...more, shard: 'gradients' })))
  const words = ['--processes', String(processes), '--restarts', String(restarts), '--']
  return startProgram(['launch', ...words, 'tunesmith', 'pretrain', '--recipe', file], env)
}
const lossesOf = (out: string): number[] => {
  const losses = new Map<number, number>()
  for (const line of readFileSync(join(out, 'events.jsonl'), 'utf8').split('\n'))
    if (line.includes('"type":"step"')) losses.set(JSON.parse(line).step, JSON.parse(line).loss)
  return [...losses.values()]
}
const weightsOf = (out: string): string => sha256(readFileSync(join(out, 'model', 'model.safetensors')))
const print = (line: string) => void process.stdout.write(`${line}\n`)

const [whole, disturbed] = ['whole', 'disturbed'].map((name) => join(data.root, name))
const undisturbed = start(whole, 0)
print(`undisturbed: exit code ${await undisturbed.exitCode}, ${lossesOf(whole).length} steps`)

const launch = start(disturbed, kills)
for (let kill = 0; kill < kills; kill++) {
  await until(() => ranksOf(launch).size === processes, 120, 'all processes')
  const ranks = ranksOf(launch)
  // Past the newest checkpoint, so that the run gets on; then at any moment of a step.
  const from = recordedSteps(disturbed)
  await until(() => recordedSteps(disturbed) >= from + interval + random.integer(interval), 300, 'steps')
  await setTimeout(random.integer(300))
  const [rank, signal] = [random.integer(processes), random.integer(2) === 0 ? 'SIGKILL' : 'SIGSTOP'] as const
  const began = performance.now()
  process.kill(ranks.get(rank) as number, signal)
  const others = [...ranks].filter(([one]) => one !== rank).map(([, pid]) => pid)
  await until(() => haveEnded(others), 60, `the end of the other processes after ${signal} of rank ${rank}`)
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  await until(() => haveEnded(ranks.values()), 60, `the end of rank ${rank} after ${signal}`)
  print(
    `${kill + 1}: ${signal} of rank ${rank} at step ${recordedSteps(disturbed)}: the others ended within ${seconds} s`,
  )
}
const exitCode = await launch.exitCode
const [a, b] = [lossesOf(disturbed), lossesOf(whole)]
const same = a.length === b.length && a.every((loss, i) => loss === b[i])
print(`disturbed: exit code ${exitCode}, ${a.length} steps, losses ${same ? 'equal bit by bit' : 'differ'}`)
if (exitCode !== 0) print(launch.stderr().split('\n').slice(-20).join('\n'))
const sameWeights = exitCode === 0 && weightsOf(disturbed) === weightsOf(whole)
print(`weights ${sameWeights ? 'equal bit by bit' : 'differ'}`)
data.dispose()
process.exitCode = same && sameWeights ? 0 : 1
