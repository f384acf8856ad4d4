// Finds other programs on the PATH, runs them, and keeps the end of their output for the error message.
import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { SetupFault } from './report.mjs'

/** The full path of a program, or undefined. A name with a slash is a path. */
export const findProgram = (name) => {
  const places = name.includes('/')
    ? [name]
    : (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name))
  return places.find((place) => {
    try {
      accessSync(place, constants.X_OK)
      return statSync(place).isFile()
    } catch {
      return false
    }
  })
}

/** Process groups of the programs that run now. */
const running = new Set()

/** Ends the programs, such as a build with its compilers, and then this process as the signal does by itself. */
const stopAll = (signal) => {
  for (const group of running) {
    try {
      process.kill(-group, 'SIGTERM')
    } catch {
      // It has just ended.
    }
  }
  for (const each of stopSignals) process.off(each, stopAll)
  process.kill(process.pid, signal)
}
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP']

const noteStart = (group) => {
  if (running.size === 0) for (const signal of stopSignals) process.on(signal, stopAll)
  running.add(group)
}
const noteEnd = (group) => {
  running.delete(group)
  if (running.size === 0) for (const signal of stopSignals) process.off(signal, stopAll)
}

/** Runs a program to its end. `show` also copies its output to stderr; `onOutput` gets each piece of it. */
export const runProgram = async (program, args, { cwd, env, show = false, onOutput, timeoutMs } = {}) => {
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    // A group of its own: a signal to a build alone would leave its compilers running.
    detached: true,
  })
  if (child.pid !== undefined) noteStart(child.pid)
  let stdout = ''
  let output = ''
  const take = (text) => {
    output = (output + text).slice(-200_000)
    if (show) process.stderr.write(text)
    onOutput?.(text)
  }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
    take(text)
  })
  child.stderr.setEncoding('utf8').on('data', take)
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new SetupFault(`Cannot start \`${program}\`: ${error.message}.`)))
    child.on('close', (code, signal) => {
      noteEnd(child.pid)
      resolve({ code, signal, stdout, output })
    })
  })
}

/** The line of a program's output that most likely names the fault. */
export const faultLine = (output) => {
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const telling = lines.find((line) =>
    /\b(fatal error|error|\w*Error(?=:)|ERROR|CMake Error|No space left|undefined reference)\b/.test(line),
  )
  return (telling ?? lines.at(-1) ?? 'no output').slice(0, 300)
}
