// Models behind an HTTP port, in OpenAI's form: many specialists on one base in memory.
export { type AppSettings, createApp } from './app.ts'
export { ApiError, type ErrorBody } from './http/errors.ts'
export type { ModelSettings, ServedModel } from './models/served-models.ts'
export { createServer, type RunningServer, type ServerSettings } from './server.ts'
export { type ComputeSettings, type Limits, Service, type ServiceHooks, type ServiceSettings } from './service.ts'
export { createStudio, type RunningStudio, type StudioServerSettings } from './studio/create-studio.ts'
export { Studio, type StudioHooks, type StudioSettings } from './studio/studio.ts'
