// The package's front door: what users import from 'tunesmith'.
export {
  CheckpointError,
  ConfigError,
  DataError,
  NativeError,
  OutOfMemoryError,
  SetupError,
  ShapeError,
  TunesmithError,
} from './core/index.ts'
export * from './tensor/index.ts'
