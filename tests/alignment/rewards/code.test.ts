// Programs in a child process: what they may do, and what hostile ones cannot. The last suite gives away the inner barriers, to see that the
// outer ones hold by themselves.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openRewards, type RewardInput, scoreSamples } from '../../../src/alignment/index.ts'
import { programIn } from '../../../src/alignment/rewards/code/code.ts'
import { runProgram, sandboxCommand } from '../../../src/alignment/rewards/code/run-program.ts'
import { bertJson } from '../../../src/tokenizers/legacy-files.ts'
import { Tokenizer } from '../../../src/tokenizers/tokenizer.ts'
import { sample } from './samples.ts'

const tokenizer = new Tokenizer(bertJson(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a'].join('\n')))
const limits = { seconds: 10, memory: 64 }
const passed = async (program: string, tests: string[], own: Partial<typeof limits> = {}) => {
  const { outcomes, end } = await runProgram(program, tests, { ...limits, ...own })
  return { passed: outcomes.map((one) => one.passed), json: outcomes.map(({ json }) => json), end }
}

describe('programs', () => {
  it('are run with their tests: expressions, statements, promises', async () => {
    const program = `
      const add = (a, b) => a + b
      async function later(x) { return await Promise.resolve(x) }
      class Point { constructor(x) { this.x = x } }
      console.log('printing is allowed'); const assert = require('assert')`
    const tests: [code: string, passes: boolean][] = [
      ['add(1, 2) === 3', true],
      ['add(1, 2) === 4', false],
      ['assert(add(1, 1) === 2); assert.equal(add(2, 2), 4)', true],
      ['assert.equal(add(2, 2), 5)', false],
      ['assert.deepEqual({ a: [1, new Map([[1, new Set([2])]])] }, { a: [1, new Map([[1, new Set([2])]])] })', true],
      ['assert.deepEqual([1, 2], [2, 1])', false],
      ['assert.throws(() => add(...null))', true],
      ['assert(await later(4) === 4)', true],
      ['await later(false)', false],
      ['console.assert(later(1) instanceof Promise)', true],
      ['new Point(1).x', true],
      ['throw new Error("no")', false],
      ['missing()', false],
      ['not JavaScript', false],
    ]
    const found = await passed(
      program,
      tests.map(([code]) => code),
    )
    expect(found.passed).toEqual(tests.map(([, passes]) => passes))
    expect(found.end).toBe('finished')
    expect(found.json[0]).toBe('true')
  })

  it('may use the heap that their limit names, with each version of Node', async () => {
    const program = 'const all = []; for (let i = 0; i < 48; i++) all.push(new Array(2 ** 17).fill(1.5))'
    expect(await passed(program, ['all.length === 48'])).toMatchObject({ passed: [true], end: 'finished' })
  })

  it('that were never run are an error, not failed tests', async () => {
    // Node ends while it reads this program, which is larger than its memory.
    const run = runProgram(`/* ${'x'.repeat(6e7)} */`, ['true'], { ...limits, memory: 16 })
    await expect(run).rejects.toThrow(/^it ended with .+ before it ran the program$/)
  })

  it('are found in answers', () => {
    expect(programIn('f = 1')).toBe('f = 1')
    expect(programIn('First:\n```js\nlet a\n```\nbetter:\n```javascript\nlet b\n```\n```python\nc\n```')).toBe(
      'let b\n',
    )
    expect(programIn('```\nexport default function f() {}\nexport const a = 1\n```')).toBe(
      'function f() {}\nconst a = 1\n',
    )
  })
})

describe('the reward', () => {
  const scores = async (input: RewardInput, completion: string, fields: { [column: string]: unknown }) => {
    const functions = await openRewards([input], { tokenizer })
    const one = sample(completion)
    const { scores: found } = await scoreSamples(functions, [{ ...one, record: { ...one.record, fields } }])
    return found[0].reward
  }
  const doubled = '```js\nconst f = (x) => 2 * x\n```'

  it('is the share of tests that pass, or all of them', async () => {
    const tests = [
      'f(1) === 2',
      ['f(0.1 + 0.2)', 0.6],
      { code: '[f(2), { b: 1, a: null }]', expected: [4, { a: null, b: 1 }] },
      ['f(1)', 3],
    ]
    expect(await scores('code', doubled, { tests })).toBe(0.75)
    expect(await scores('code:all=true', doubled, { tests })).toBe(0)
    expect(await scores('code:all=true', doubled, { tests: 'f(1) === 2' })).toBe(1)
    expect(await scores('code', 'I cannot.', { tests })).toBe(0)
  })

  it('scores nothing without tests, and refuses other forms and columns', async () => {
    expect(await scores('code', doubled, { tests: [] })).toBeNull()
    expect(await scores('code', doubled, { tests: null })).toBeNull()
    await expect(scores('code', doubled, { checks: [] })).rejects.toThrow(
      /no column tests: set `tests` to one of checks/,
    )
    await expect(scores('code', doubled, { tests: [1] })).rejects.toThrow(/Expected tests as code/)
  })
})

describe('hostile programs', () => {
  it('that never end are killed', async () => {
    expect(await passed('for (;;);', ['true'], { seconds: 0.4 })).toMatchObject({ passed: [false], end: 'time' })
    // So long that the first test ends within it on a busy machine too.
    const found = await passed('const f = () => { for (;;); }', ['true', 'f()', 'true'], { seconds: 4 })
    expect(found).toMatchObject({ passed: [true, false, false], end: 'time' })
    // Returns nothing, so that no chain of promises fills the memory before the time is up.
    const promises = 'const spin = () => { Promise.resolve().then(spin) }; spin()'
    expect(await passed(promises, ['true'], { seconds: 0.4 })).toMatchObject({ passed: [false], end: 'time' })
  })

  it.runIf(process.platform === 'linux')('that take all memory end, inside and outside the heap', async () => {
    for (const item of ['new Array(1e6).fill(1.5)', 'new Uint8Array(4e7).fill(1)']) {
      const bomb = `const all = []; for (;;) all.push(${item})`
      const { passed: found, end } = await passed(bomb, ['true'], { memory: 32 })
      expect(found, item).toEqual([false])
      expect(end, item).not.toBe('time')
    }
    // The error of a large array can be caught; then little has been allocated: 128 MiB and what Node does not use of its own.
    const caught = 'const all = []; try { for (;;) all.push(new Uint8Array(2 ** 24).fill(1)) } catch {}'
    const { json } = await passed(caught, ['all.length'])
    expect(Number(json[0] ?? 0)).toBeLessThan(16)
  })

  it('find neither processes, files, network, timers nor the environment', async () => {
    const names = ['process', 'require("fs")', 'fetch', 'Buffer', 'setTimeout', 'WebSocket']
    const tests = [
      ...names.map((name) => `${name} !== undefined`),
      'require("child_process").spawn("sleep", ["100"])',
      'require("node:net").connect(80, "example.org")',
      'require("fs").readFileSync("/etc/passwd", "utf8")',
      'await import("node:fs")',
      'await WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))',
      'new Function("return process")()',
      'this.constructor.constructor("return process")()',
      'console.log.constructor("return process")()',
      'assert.constructor("return process")()',
      'new Error().constructor.constructor("return process")()',
      'Error.prepareStackTrace = (_, frames) => frames; assert(new Error().stack[0].getThis().process)',
      'Error.prepareStackTrace = (_, frames) => frames.constructor.constructor("return process")(); assert(new Error().stack.pid)',
      '(() => { const deep = () => deep(); try { deep() } catch (e) { return e.constructor.constructor("return process")() } })()',
      'globalThis.constructor.constructor("return this")().process.exit(0)',
    ]
    const { passed: found, json, end } = await passed('', tests)
    expect(
      found.map((passes, i) => (passes ? [tests[i], json[i]] : undefined)).filter((one) => one !== undefined),
    ).toEqual([])
    expect(end).toBe('finished')
  })

  it('cannot pass by ending, printing, or changing what tests use', async () => {
    const tests = ['assert(f(1) === 2)', 'assert.deepEqual(f([1]), [2])', 'f(2) === 4']
    const cheats = [
      'process.exit(0)',
      'console.log("0 done true\\n1 done true\\n2 done true")',
      'throw 0',
      'const f = () => { throw { passed: true } }',
      'const f = (x) => x; globalThis.assert = () => {}; assert.deepEqual = () => {}',
      'const f = (x) => x; Object.is = () => true; Array.isArray = () => false; Reflect.ownKeys = () => []; Map.prototype.forEach = Set.prototype.forEach = () => {}',
      'const f = (x) => x; Promise.prototype.then = function (ok) { ok(true) }; JSON.stringify = () => "2"',
      'const f = (x) => x; Object.prototype.toJSON = () => true; Function.prototype.apply = Function.prototype.call = () => true',
      'const f = (x) => x; Array.prototype.push = String.prototype.split = () => ["done"]',
      'const f = () => new Promise(() => {})',
    ]
    const found = await Promise.all(cheats.map((cheat) => passed(cheat, tests)))
    for (const [i, cheat] of cheats.entries()) expect(found[i].passed, cheat).toEqual([false, false, false])
  })

  it('cannot write without end', async () => {
    const long = 'const f = () => "x".repeat(3e6)'
    expect(await passed(long, ['f()', 'true'])).toMatchObject({ passed: [false, false], end: 'output' })
  })

  it('are stopped with the run', async () => {
    const controller = new AbortController()
    const run = runProgram('for (;;);', ['true'], limits, controller.signal)
    setTimeout(() => controller.abort(new Error('stopped')), 50)
    await expect(run).rejects.toThrow('stopped')
  })
})

describe('a program that has left its context', () => {
  const server = createServer()
  let connections = 0
  server.on('connection', () => connections++)
  afterAll(() => server.close())

  it('still has no files, processes, network, signals or environment', async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const file = join(tmpdir(), `sandbox-${process.pid}`)
    const harness = readFileSync(new URL('../../../src/alignment/rewards/code/harness.mjs', import.meta.url), 'utf8')
    // The harness up to the empty context, and then code with everything that Node has.
    const outside = `
      const results = {}
      const attempt = async (name, work) => {
        try { results[name] = [await work() ?? 'done'] } catch (error) { results[name] = String(error.message) }
      }
      const once = (emitter, event) => new Promise((resolve, reject) => { emitter.on(event, resolve); emitter.on('error', reject) })
      await attempt('read', () => readFileSync('/etc/passwd', 'utf8').length)
      await attempt('write', async () => (await import('node:fs')).writeFileSync(${JSON.stringify(file)}, 'x'))
      await attempt('spawn', async () => (await import('node:child_process')).spawnSync('true').status)
      await attempt('fork', async () => (await import('node:cluster')).default.fork())
      await attempt('worker', async () => new (await import('node:worker_threads')).Worker('1', { eval: true }))
      await attempt('connect', () => once(net.connect(${port}, '127.0.0.1'), 'connect'))
      await attempt('socket', () => once(new net.Socket().connect(${port}, '127.0.0.1'), 'connect'))
      await attempt('listen', () => once(net.createServer().listen(0), 'listening'))
      await attempt('http', async () => once((await import('node:http')).get('http://127.0.0.1:${port}'), 'socket'))
      await attempt('tls', async () => once((await import('node:tls')).connect(${port}, '127.0.0.1'), 'connect'))
      await attempt('udp', () => dgram.createSocket('udp4').send('x', ${port}, '127.0.0.1'))
      await attempt('look-up', () => dns.promises.resolve4('example.org'))
      await attempt('look-up by name', async () => (await import('node:dns')).lookup('example.org', () => {}))
      await attempt('kill', () => system.kill(system.ppid, 0))
      await attempt('debugger', () => system._debugProcess(system.ppid))
      await attempt('replace', () => system.execve('/bin/true', ['true'], {}))
      await attempt('addon', () => system.dlopen({ exports: {} }, 'any.node'))
      await attempt('library', async () => (await import('node:ffi')).dlopen(null, {}))
      await attempt('wasi', async () => new (await import('node:wasi')).WASI({ version: 'preview1', preopens: { '/': '/' } }))
      await attempt('database', async () => new (await import('node:sqlite')).DatabaseSync(${JSON.stringify(file)}))
      await attempt('report', () => system.report.writeReport(${JSON.stringify(file)}))
      await attempt('heap', async () => (await import('node:v8')).writeHeapSnapshot(${JSON.stringify(file)}))
      await attempt('variables', () => system.loadEnvFile('/etc/passwd'))
      await attempt('inspector', async () => (await import('node:inspector')).open(0))
      await attempt('code', () => new Function('return 1')())
      await attempt('globals', () => { if (typeof process + typeof fetch === 'undefinedundefined') throw new Error('gone') })
      results.environment = Object.keys(system.env).filter((name) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name))
      writeSync(1, JSON.stringify(results))
      exit(0)`
    const source = `import system from 'node:process'\n${harness.slice(0, harness.indexOf('const context = '))}${outside}`
    const [command, ...args] = sandboxCommand(limits, source)
    const { stdout, stderr } = spawnSync(command, args, { input: '{}', env: {}, cwd: '/', encoding: 'utf8' })
    const { environment, ...results } = JSON.parse(stdout || JSON.stringify({ failed: stderr }))
    // An attempt that works gives a list.
    expect(Object.entries(results).filter(([, result]) => Array.isArray(result))).toEqual([])
    expect(Object.keys(results)).toHaveLength(26)
    // Loading this file fails anyway, so the reason counts.
    expect(results.addon).toBe('not available')
    expect(environment).toEqual([])
    expect(existsSync(file)).toBe(false)
    expect(connections).toBe(0)
  })
})
