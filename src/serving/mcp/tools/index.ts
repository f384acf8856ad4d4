// The registry of tools.
import type { McpTool } from '../tool.ts'
import { queryMetrics } from './metrics.ts'
import { classifyTexts, evaluateModel, generateText } from './models.ts'
import { listRuns, planTool, showRun, startTool, stopTool } from './runs.ts'

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
