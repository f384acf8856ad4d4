// Runs in a child process of its own: evaluates a program that a model wrote in an empty context, then its tests, and writes one line per test.
// The context has the built-in objects of JavaScript and nothing of Node. See run-program.ts for the limits around it, and for what
// they do not protect against.
import dgram from 'node:dgram'
import dns from 'node:dns'
import { readFileSync, writeSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import vm from 'node:vm'

const { nonce, program, tests } = JSON.parse(readFileSync(0, 'utf8'))
const exit = process.reallyExit.bind(process)
const { Script } = vm

// Behind the empty context and the permissions of Node: should a program reach the objects of Node, it finds no network and no signals.
const refuse = () => {
  throw new Error('not available')
}
const close = (object) => {
  for (const name of Object.getOwnPropertyNames(object)) {
    const { value, configurable, writable } = Object.getOwnPropertyDescriptor(object, name)
    if (typeof value !== 'function' || name === 'constructor' || !(configurable || writable)) continue
    try {
      Object.defineProperty(object, name, { value: refuse, writable: false, configurable: false })
    } catch {}
  }
}
for (const object of [net, net.Socket.prototype, net.Server.prototype, dgram, dgram.Socket.prototype]) close(object)
for (const object of [dns, dns.promises, dns.Resolver.prototype, dns.promises.Resolver.prototype]) close(object)
// Imports by name have copies of the functions, which follow only at this call.
syncBuiltinESMExports()
// `_debugProcess` sends a signal to a process, which then opens its debugger.
const closed = ['kill', '_kill', '_debugProcess', 'abort', 'binding', '_linkedBinding', 'dlopen', 'getBuiltinModule']
for (const name of [...closed, 'chdir', 'execve'])
  if (name in process) Object.defineProperty(process, name, { value: refuse, writable: false, configurable: false })
const known = new Set(vm.runInNewContext('Object.getOwnPropertyNames(globalThis)'))
for (const name of Object.getOwnPropertyNames(globalThis))
  if (!known.has(name) && name !== 'globalThis') delete globalThis[name]

const context = vm.createContext(Object.create(null), {
  codeGeneration: { strings: true, wasm: false },
  microtaskMode: 'afterEvaluate',
})

// What tests may use. It is made before the program runs, keeps its own references to what it needs, and is frozen.
const driver = new Script(
  `(() => {
  'use strict'
  const { apply, ownKeys } = Reflect
  const { freeze, is, getPrototypeOf } = Object
  const { isArray } = Array
  const { stringify } = JSON
  const { then } = Promise.prototype
  const { forEach: eachOfMap } = Map.prototype
  const { forEach: eachOfSet } = Set.prototype
  const [MapClass, SetClass, DateClass, PromiseClass, time] = [Map, Set, Date, Promise, Date.prototype.getTime]
  class AssertionError extends Error {}
  const items = (value) => {
    const list = []
    let size = 0
    if (value instanceof MapClass) apply(eachOfMap, value, [(one, key) => { list[size++] = [key, one] }])
    else apply(eachOfSet, value, [(one) => { list[size++] = one }])
    return list
  }
  const equal = (a, b) => {
    if (is(a, b) || a === b) return true
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
    if (isArray(a) !== isArray(b)) return false
    if (a instanceof DateClass && b instanceof DateClass) return apply(time, a, []) === apply(time, b, [])
    if ((a instanceof MapClass && b instanceof MapClass) || (a instanceof SetClass && b instanceof SetClass))
      return equal(items(a), items(b))
    const [left, right] = [ownKeys(a), ownKeys(b)]
    if (left.length !== right.length) return false
    for (let i = 0; i < left.length; i++) {
      let found = false
      for (let k = 0; k < right.length && !found; k++) found = right[k] === left[i]
      if (!found || !equal(a[left[i]], b[left[i]])) return false
    }
    return true
  }
  const check = (holds) => {
    if (!holds) throw new AssertionError('Assertion failed.')
  }
  const assert = (value) => check(value)
  assert.ok = assert
  assert.equal = assert.strictEqual = (a, b) => check(is(a, b) || a === b)
  assert.notEqual = assert.notStrictEqual = (a, b) => check(!(is(a, b) || a === b))
  assert.deepEqual = assert.deepStrictEqual = (a, b) => check(equal(a, b))
  assert.notDeepEqual = assert.notDeepStrictEqual = (a, b) => check(!equal(a, b))
  assert.throws = (work) => {
    try {
      work()
    } catch {
      return
    }
    check(false)
  }
  assert.fail = () => check(false)
  const nothing = () => {}
  const console = { assert, debug: nothing, error: nothing, info: nothing, log: nothing, table: nothing, warn: nothing }
  const require = (name) => {
    if (name === 'assert' || name === 'node:assert') return assert
    throw new Error('Only the module assert is available.')
  }
  for (const one of [assert, console, require]) freeze(one)
  globalThis.assert = assert
  globalThis.console = { ...console }
  globalThis.require = require
  globalThis.module = { exports: {} }
  globalThis.exports = globalThis.module.exports
  let state = 'pending'
  let text
  return freeze({
    assert,
    console,
    require,
    begin() {
      state = 'pending'
      text = undefined
    },
    watch(value) {
      apply(then, value, [
        (result) => {
          try {
            text = stringify(result)
            state = result === false ? 'false' : 'done'
          } catch {
            state = 'failed'
          }
        },
        () => { state = 'failed' },
      ])
    },
    state: () => state,
    text: () => (typeof text === 'string' ? text : ''),
  })
})()`,
).runInContext(context)
const drain = new Script('0')

/** An expression or statements as a function that gives a promise. */
const compile = (code) => {
  const parameters = 'async (assert, require, console)'
  try {
    return new Script(`(${parameters} => (\n${code}\n))`)
  } catch {
    return new Script(`(${parameters} => {\n${code}\n})`)
  }
}

const outcome = (code) => {
  try {
    driver.begin()
    const test = compile(code).runInContext(context)
    driver.watch(test(driver.assert, driver.require, driver.console))
    drain.runInContext(context)
    return [driver.state(), driver.text()]
  } catch {
    return ['failed', '']
  }
}

// Tells failures of this process from those of the program.
writeSync(1, `${nonce} ready\n`)
let runs = true
try {
  new Script(program).runInContext(context)
} catch {
  runs = false
}
for (let i = 0; i < tests.length; i++) {
  const [state, text] = runs ? outcome(tests[i]) : ['failed', '']
  if (typeof state !== 'string' || typeof text !== 'string') break
  writeSync(1, `${nonce} ${i} ${state} ${text}\n`)
}
exit(0)
