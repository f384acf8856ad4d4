// The registry of tools.
import type { McpTool } from '../tool.ts'
import { startTool, stopTool } from './control.ts'
import { queryMetrics } from './metrics.ts'
import { classifyTexts, evaluateModel, generateText } from './models.ts'
import { planTool } from './plans.ts'
import { listRuns, showRun } from './runs.ts'

export const mcpTools: readonly McpTool[] = [
  listRuns,
  showRun,
  queryMetrics,
  planTool,
  evaluateModel,
  generateText,
  classifyTexts,
  startTool,
  stopTool,
]
