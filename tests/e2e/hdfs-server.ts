// A real HDFS on this machine: a name node and a data node of Hadoop 2.7, whose servers are in the jars of an old pyspark. Newer ones have
// the client only.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

const variable = 'TUNESMITH_HADOOP_JARS'
const servers = 'org.apache.hadoop.hdfs.server'

/** Why no HDFS can be started; undefined where one can. */
export const missingHdfs = (): string | undefined => {
  const { [variable]: jars } = process.env
  if (jars === undefined) return `no servers of HDFS: set ${variable} to the folder deps/jars of pyspark 2.4.8`
  return existsSync(join(jars, 'hadoop-hdfs-2.7.3.jar')) ? undefined : `no hadoop-hdfs-2.7.3.jar in ${variable}`
}

/** A file system that runs. */
export interface HdfsServer {
  /** Address of its root, such as hdfs://127.0.0.1:1234. */
  address: string
  /** Runs a file command, such as `-put`. */
  shell(words: readonly string[]): void
  /** Ends the data node, and starts it again after some time. */
  interruptDataNode(milliseconds: number): Promise<void>
  close(): Promise<void>
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const settingsFile = (settings: Readonly<Record<string, string | number>>): string => {
  const properties = Object.entries(settings).map(
    ([name, value]) => `<property><name>${name}</name><value>${value}</value></property>`,
  )
  return `<configuration>${properties.join('')}</configuration>`
}

/** Starts a file system that has its files in `folder`. */
export const startHdfs = async (folder: string): Promise<HdfsServer> => {
  const [port, ...ports] = await Promise.all(Array.from({ length: 5 }, freePort))
  const address = `hdfs://127.0.0.1:${port}`
  const names = ['dfs.namenode.http-address', 'dfs.datanode.address', 'dfs.datanode.ipc.address']
  const hosts = [...names, 'dfs.datanode.http.address'].map((name, i) => [name, `127.0.0.1:${ports[i]}`])
  const conf = join(folder, 'conf')
  // The jars have no pages, and the servers do not start without their folders; the REST interface needs jars that are not there either.
  for (const name of ['hdfs', 'datanode', 'static']) mkdirSync(join(conf, 'webapps', name), { recursive: true })
  writeFileSync(join(conf, 'core-site.xml'), settingsFile({ 'fs.defaultFS': address }))
  writeFileSync(
    join(conf, 'hdfs-site.xml'),
    settingsFile({
      ...Object.fromEntries(hosts),
      'dfs.namenode.name.dir': join(folder, 'name'),
      'dfs.datanode.data.dir': join(folder, 'data'),
      'dfs.replication': 1,
      'dfs.permissions.enabled': 'false',
      'dfs.webhdfs.enabled': 'false',
    }),
  )
  const words = (name: string, ...rest: string[]) => [
    ...['java.lang', 'java.util', 'java.net', 'java.io'].map((one) => `--add-opens=java.base/${one}=ALL-UNNAMED`),
    ...['-Xmx300m', '-cp', `${conf}:${process.env[variable]}/*`, name, ...rest],
  ]
  const run = (name: string, ...rest: string[]): void => {
    const { status, stderr } = spawnSync('java', words(name, ...rest), { encoding: 'utf8' })
    if (status !== 0) throw new Error(`${name} ${rest.join(' ')} ended with ${status}: ${stderr.slice(-2000)}`)
  }
  const logOf = (name: string) => join(folder, `${name}.log`)
  const start = (name: string): ChildProcess => {
    const log = openSync(logOf(name), 'a')
    return spawn('java', words(`${servers}.${name}`), { stdio: ['ignore', log, log] })
  }
  run(`${servers}.namenode.NameNode`, '-format', '-nonInteractive')
  const nameNode = start('namenode.NameNode')
  let dataNode = start('datanode.DataNode')
  const shell = (own: readonly string[]) => run('org.apache.hadoop.fs.FsShell', ...own)
  const end = async (child: ChildProcess) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const close = async () => {
    await end(dataNode)
    await end(nameNode)
  }
  const probe = join(folder, 'probe')
  writeFileSync(probe, 'a block')
  for (let attempts = 20; ; attempts -= 1) {
    try {
      // A file is written once the data node is there.
      shell(['-put', '-f', probe, '/'])
      break
    } catch (error) {
      if (attempts > 0) {
        await setTimeout(1000)
        continue
      }
      await close()
      throw new Error(`HDFS did not start: ${error}\n${readFileSync(logOf('namenode.NameNode'), 'utf8').slice(-2000)}`)
    }
  }
  rmSync(probe)
  return {
    address,
    shell,
    close,
    async interruptDataNode(milliseconds) {
      await end(dataNode)
      await setTimeout(milliseconds)
      dataNode = start('datanode.DataNode')
    },
  }
}
