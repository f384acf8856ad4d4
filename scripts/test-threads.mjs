// Two test files run at once, and so do the programs that they start: with a thread for each core in each of them, threads wait for
// each other more than they compute. Suites of kernels keep all threads, as parallel regions are what they test.
import { expect } from 'vitest'

const kernelSuites = /\/(?:src\/(?:tensor|nn|optim)|tests\/(?:engine|parity))\//
if (!kernelSuites.test(expect.getState().testPath ?? '')) process.env.OMP_NUM_THREADS ??= '1'
