// Errors on their way between threads or processes, where classes and extra fields do not survive by themselves.
import * as errors from './errors.ts'

export interface PortableError {
  name: string
  message: string
  stack?: string
  fields: Record<string, unknown>
}

export const packError = (error: unknown): PortableError => {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), fields: {} }
  const fields = error instanceof errors.TunesmithError ? { ...error } : {}
  return { name: error.name, message: error.message, stack: error.stack, fields }
}

export const unpackError = ({ name, message, stack, fields }: PortableError): Error => {
  const known = Object.hasOwn(errors, name) ? (errors as Record<string, unknown>)[name] : undefined
  const error = new Error(message)
  if (typeof known === 'function') Object.setPrototypeOf(error, known.prototype as object)
  Object.assign(error, fields, { name })
  if (stack !== undefined) error.stack = stack
  return error
}
