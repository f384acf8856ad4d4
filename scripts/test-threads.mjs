// Several test files run at once, and so do the programs that they start: a thread for each core in each of them is more than the machine
// has. Suites of kernels and of generation keep all threads, as parallel regions are what they test.
import { expect } from 'vitest'

const kernelSuites = /\/(?:src\/(?:tensor|nn|optim|generation)|tests\/(?:engine|parity))\//
if (!kernelSuites.test(expect.getState().testPath ?? '')) process.env.OMP_NUM_THREADS ??= '1'
// Threads that wait sleep. By default they spin, which costs up to half of the CPU time where another file has their core.
process.env.OMP_WAIT_POLICY ??= 'passive'
