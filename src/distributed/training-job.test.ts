// The files of jobs: the script by a real shell with a stand-in for srun, the manifest by its fields in the API of Kubernetes 1.32.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { readLaunch } from './launch-environment.ts'
import { kubernetesManifest, slurmScript } from './training-job.ts'

/**
 * The part of the API that a manifest uses: names, types and required fields of the OpenAPI document of Kubernetes 1.27, by which the
 * manifest was validated as a whole. @source kubernetes/api/openapi-spec/v3, batch/v1 Job and v1 Service
 */
const metadata = z.strictObject({ name: z.string(), namespace: z.string().optional() })
const serviceSchema = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('Service'),
  metadata,
  spec: z.strictObject({
    clusterIP: z.string(),
    publishNotReadyAddresses: z.boolean(),
    selector: z.record(z.string(), z.string()),
    ports: z.array(z.strictObject({ name: z.string(), port: z.int32() })),
  }),
})
const containerSchema = z.strictObject({
  name: z.string(),
  image: z.string(),
  workingDir: z.string(),
  command: z.array(z.string()),
  env: z.array(z.strictObject({ name: z.string(), value: z.string() })),
  // Quantities, such as "8" and "16Gi".
  resources: z.record(z.enum(['requests', 'limits']), z.record(z.string(), z.string().regex(/^\d+([KMGT]i)?$/))),
  volumeMounts: z.array(z.strictObject({ name: z.string(), mountPath: z.string() })),
})
const jobSchema = z.strictObject({
  apiVersion: z.literal('batch/v1'),
  kind: z.literal('Job'),
  metadata,
  spec: z.strictObject({
    completions: z.int32(),
    parallelism: z.int32(),
    completionMode: z.enum(['Indexed', 'NonIndexed']),
    backoffLimit: z.int32(),
    template: z.strictObject({
      spec: z.strictObject({
        subdomain: z.string(),
        restartPolicy: z.enum(['OnFailure', 'Never']),
        terminationGracePeriodSeconds: z.int(),
        containers: z.array(containerSchema).min(1),
        volumes: z.array(
          z.strictObject({ name: z.string(), persistentVolumeClaim: z.strictObject({ claimName: z.string() }) }),
        ),
      }),
    }),
  }),
})

const root = mkdtempSync(join(tmpdir(), 'tunesmith-job-'))
afterAll(() => rmSync(root, { recursive: true }))

const out = join(root, 'runs', 'it is one')
const job = {
  name: 'small-bert',
  program: ['npx', 'tunesmith'],
  command: ['pretrain', '--out', out, '--note', "it's"],
  out,
  processes: 4,
  threads: 8,
}

/** Runs a job script where `srun` and `scontrol` write down how they were called; srun ends with a code. */
const runScript = (text: string, code: number) => {
  const bin = join(root, 'bin')
  mkdirSync(bin, { recursive: true })
  const log = join(root, 'calls')
  writeFileSync(log, '')
  const stand = (name: string, exit: number) => {
    writeFileSync(
      join(bin, name),
      `#!/bin/sh\nprintf '%s|' ${name} "$OMP_NUM_THREADS" "$SRUN_CPUS_PER_TASK" "$@" >> '${log}'\nexit ${exit}\n`,
    )
    chmodSync(join(bin, name), 0o755)
  }
  stand('srun', code)
  stand('scontrol', 0)
  const env = { PATH: `${bin}${delimiter}${process.env.PATH}`, SLURM_JOB_ID: '7', SLURM_CPUS_PER_TASK: '8' }
  const { status } = spawnSync('sh', ['-c', text], { env })
  return { status, calls: readFileSync(log, 'utf8') }
}

describe('slurmScript', () => {
  const script = slurmScript(job, { nodes: 2, time: '24:00:00', partition: 'cpu' })

  it('asks for what the job needs, and a signal before its end', () => {
    const directives = [...script.matchAll(/^#SBATCH --(.*)$/gm)].map(([, directive]) => directive)
    for (const one of [
      'nodes=2',
      'ntasks=4',
      'cpus-per-task=8',
      'time=24:00:00',
      'partition=cpu',
      'requeue',
      'signal=USR1@120',
    ])
      expect(directives).toContain(one)
  })

  it('begins the run, and passes its words on as they are', () => {
    const { status, calls } = runScript(script, 0)
    expect(status).toBe(0)
    expect(calls).toBe(`srun|8|8|--kill-on-bad-exit=0|npx|tunesmith|pretrain|--out|${out}|--note|it's|`)
  })

  it('is requeued when the run has saved, and then resumes it', () => {
    const first = runScript(script, 138)
    expect(first.status).toBe(138)
    expect(first.calls).toMatch(/scontrol\|8\|8\|requeue\|7\|$/)
    mkdirSync(out, { recursive: true })
    writeFileSync(join(out, 'run.json'), '{}')
    const second = runScript(script, 1)
    expect(second).toEqual({ status: 1, calls: `srun|8|8|--kill-on-bad-exit=0|npx|tunesmith|resume|${out}|` })
  })

  it('refuses what a line cannot hold', () => {
    expect(() => slurmScript(job, { nodes: 5 })).toThrow(/at most 4 nodes/)
    expect(() => slurmScript(job, { nodes: 1, partition: 'a\nrm' })).toThrow(/a word without spaces for `partition`/)
    expect(() => slurmScript({ ...job, name: 'Small BERT' }, { nodes: 1 })).toThrow(/lower-case letters/)
  })
})

describe('kubernetesManifest', () => {
  it('is a headless service, and an Indexed Job whose pods find each other by it', () => {
    const text = kubernetesManifest(job, { image: 'tunesmith:1', claim: 'work', folder: '/work', memory: '16Gi' })
    const [service, indexed] = parseAllDocuments(text).map((document) => document.toJS())
    expect(service).toMatchObject({
      apiVersion: 'v1',
      kind: 'Service',
      spec: { clusterIP: 'None', selector: { 'job-name': 'small-bert' } },
    })
    const { spec } = indexed
    expect(spec).toMatchObject({ completions: 4, parallelism: 4, completionMode: 'Indexed' })
    expect(spec.template.spec).toMatchObject({ subdomain: service.metadata.name, restartPolicy: 'OnFailure' })
    const [container] = spec.template.spec.containers
    const env = Object.fromEntries(
      container.env.map(({ name, value }: { name: string; value: string }) => [name, value]),
    )
    // What Kubernetes adds to each pod.
    expect(readLaunch({ ...env, JOB_COMPLETION_INDEX: '3' })).toMatchObject({
      launcher: 'a Kubernetes Indexed Job',
      rank: 3,
      size: 4,
      host: 'small-bert-0.small-bert',
    })
    expect(container.command.slice(0, 2)).toEqual(['/bin/sh', '-c'])
    expect(spawnSync('sh', ['-n', '-c', container.command[2]]).status).toBe(0)
  })

  it('has the fields of the API, with their types', () => {
    const request = { image: 'x', claim: 'work', folder: '/work', memory: '16Gi', namespace: 'training' }
    const [service, indexed] = parseAllDocuments(kubernetesManifest(job, request)).map((document) => document.toJS())
    expect(() => serviceSchema.parse(service)).not.toThrow()
    expect(() => jobSchema.parse(indexed)).not.toThrow()
    // The schemas themselves refuse what the API would refuse or pass over.
    expect(() => jobSchema.parse({ ...indexed, spec: { ...indexed.spec, completion: 4 } })).toThrow(/completion/)
    expect(() => jobSchema.parse({ ...indexed, spec: { ...indexed.spec, template: { spec: {} } } })).toThrow(
      /containers/,
    )
  })

  it('refuses a folder that is not absolute', () => {
    expect(() => kubernetesManifest(job, { image: 'x', claim: 'work', folder: 'work' })).toThrow(/an absolute folder/)
  })

  it('refuses names that Kubernetes does not take, and says which', () => {
    const request = { image: 'x', claim: '7b', folder: '/work', namespace: '7b' }
    expect(() => kubernetesManifest(job, request)).not.toThrow()
    expect(() => kubernetesManifest({ ...job, name: '7b' }, request)).toThrow('a letter first for `name`, got "7b"')
    expect(() => kubernetesManifest(job, { ...request, claim: 'Work' })).toThrow('hyphens for `claim`, got "Work"')
    expect(() => kubernetesManifest(job, { ...request, namespace: 'a_b' })).toThrow('for `namespace`, got "a_b"')
  })
})
