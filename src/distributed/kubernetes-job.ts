// The manifest of a training command for Kubernetes: an Indexed Job with the headless service by which its pods find the first one.
import { stringify } from 'yaml'
import { ConfigError } from '../core/index.ts'
import { defaultPort } from './launch-environment.ts'
import { checkedName, startOrResume, type TrainingJob } from './training-job.ts'

/** Settings of a job for Kubernetes. */
export interface KubernetesRequest {
  /** Container image with Tunesmith. */
  image: string
  /** Name of a persistent volume claim that every pod mounts, with data, recipe and runs. */
  claim: string
  /** Folder at which the claim is mounted, and in which the command runs. */
  folder: string
  /** Memory of a pod, such as `16Gi`. */
  memory?: string | undefined
  namespace?: string | undefined
}

/** Restarts of a pod before the job fails. A pod that ends takes the others with it, so each counts. */
const restarts = 10

/** Pods start minutes apart where an image is pulled. */
const connectSeconds = 600

/** @throws ConfigError for names that Kubernetes does not take */
export const kubernetesManifest = (job: TrainingJob, request: KubernetesRequest): string => {
  const { processes, threads } = job
  const { image, claim, folder, memory, namespace } = request
  const name = checkedName(job.name)
  // Names of services begin with a letter; those of jobs, claims and namespaces may begin with a digit.
  if (!/^[a-z]/.test(name)) throw new ConfigError(`Expected a letter first for \`name\`, got "${name}".`)
  if (!folder.startsWith('/'))
    throw new ConfigError(`Expected an absolute folder for \`folder\`, got "${folder}". It is a path in the container.`)
  const metadata = { name, ...(namespace === undefined ? {} : { namespace: checkedName(namespace, 'namespace') }) }
  const resources = { cpu: String(threads), ...(memory === undefined ? {} : { memory }) }
  const env = {
    WORLD_SIZE: String(processes),
    MASTER_ADDR: `${name}-0.${name}`,
    MASTER_PORT: String(defaultPort),
    OMP_NUM_THREADS: String(threads),
    TUNESMITH_CONNECT_SECONDS: String(connectSeconds),
  }
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {
      clusterIP: 'None',
      // The first pod is found before it is ready.
      publishNotReadyAddresses: true,
      selector: { 'job-name': name },
      ports: [{ name: 'store', port: defaultPort }],
    },
  }
  const container = {
    name: 'training',
    image,
    workingDir: folder,
    command: ['/bin/sh', '-c', [...startOrResume(job), 'exec "$@"'].join('\n')],
    env: Object.entries(env).map(([variable, value]) => ({ name: variable, value })),
    resources: { requests: resources, limits: resources },
    volumeMounts: [{ name: 'work', mountPath: folder }],
  }
  const indexed = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata,
    spec: {
      completions: processes,
      parallelism: processes,
      completionMode: 'Indexed',
      backoffLimit: restarts * processes,
      template: {
        spec: {
          subdomain: name,
          restartPolicy: 'OnFailure',
          // A pod that is evicted saves first.
          terminationGracePeriodSeconds: 120,
          containers: [container],
          volumes: [{ name: 'work', persistentVolumeClaim: { claimName: checkedName(claim, 'claim') } }],
        },
      },
    },
  }
  return [service, indexed].map((part) => stringify(part, { lineWidth: 0 })).join('---\n')
}
