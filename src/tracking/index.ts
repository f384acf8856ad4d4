// Records of runs: events, metrics, files, charts and reports. The exports of tracking.
export type { AxisKind, Series } from './chart-scale.ts'
export { type CurveOptions, renderCurves } from './curve.ts'
export { type EnergyMeter, startEnergyMeter } from './energy.ts'
export { type DamagedLine, EventTail, type TailListener, type TailState } from './event-tail.ts'
export type {
  CheckpointEvent,
  EndCause,
  EndEvent,
  EndReason,
  EvaluationEvent,
  IncidentEvent,
  NoteEvent,
  RolloutEvent,
  SampleEvent,
  StartEvent,
  StepEvent,
  TrainingEvent,
} from './event-types.ts'
export { type CutRecords, type EventLog, openEvents, outlineEvents, readEvents } from './events.ts'
export {
  type Best,
  bestOf,
  type Column,
  gatherHistory,
  isLowerBetter,
  type RunHistory,
  readHistory,
} from './history.ts'
export { type HtmlReportOptions, htmlPage, htmlTable, renderHtmlReport } from './html-report.ts'
export {
  findMetric,
  type MetricDirection,
  type MetricInfo,
  metricDirection,
  metricNames,
  metricOfSet,
  metricOfTask,
  registerMetricInfo,
  splitMetric,
} from './metrics.ts'
export {
  type CardData,
  type CardResult,
  type CardTable,
  licenseOf,
  type ModelCardInput,
  renderModelCard,
} from './model-card.ts'
export { readRunCard, writeReports } from './report.ts'
export { type Chart, smoothed } from './report-sections.ts'
export {
  describeReferences,
  type Hardware,
  inspectHardware,
  makeRunCard,
  type RunCard,
  type RunCardInput,
  renderRunCard,
  runCardRows,
  writeRunCard,
} from './run-card.ts'
export { checkpointFiles, modelFiles, runFiles, SWEEP_FILE } from './run-files.ts'
export {
  type ComparedCost,
  compareCosts,
  describePrediction,
  type RunMeasurement,
  type RunPrediction,
} from './run-prediction.ts'
export {
  isStopping,
  lockRun,
  requestCheckpoint,
  runOwner,
  type StopAnswer,
  stopRun,
  takeCheckpointRequest,
} from './run-requests.ts'
export {
  type RunTracker,
  type TrackerOptions,
  trackRun,
  writeToTensorBoard,
} from './run-tracker.ts'
export { keptMetric, listRuns, type RunStatus, type RunSummary, renderRuns, summarizeRun } from './runs.ts'
export type { RunDestination, SentRun, SentState, SentStep } from './send/destination.ts'
export { followRun, type RunTracking, type TrackingHooks } from './send/follow-run.ts'
export { type MlflowOptions, mlflowDestination } from './send/mlflow.ts'
export { openDestination, type TrackerChoice, trackerNames } from './send/open-destination.ts'
export { runsToSend, type SendOptions, type SentResult, sendRun } from './send/send-run.ts'
export { type TrackioOptions, trackioDestination } from './send/trackio.ts'
export { type WandbOptions, type WandbServerOptions, wandbDestination, wandbServerDestination } from './send/wandb.ts'
export type { StepOutline } from './step-lines.ts'
export {
  escapeHtml,
  type HeatCell,
  type HeatMap,
  renderHeatMap,
  renderScatter,
  renderSvg,
  type Scatter,
  type ScatterPoint,
} from './svg-chart.ts'
export { openTensorBoard, type TensorBoardOptions, type TensorBoardWriter } from './tensorboard.ts'
export { describeRun, renderTextReport, type TextReportOptions } from './text-report.ts'
export { withoutPlaces } from './without-places.ts'
