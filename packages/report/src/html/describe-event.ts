import type { RunEvent } from '@ws/core'
import { formatCount } from '../format-size.ts'

export interface EventText {
  readonly title: string
  readonly detail: string
  readonly mood: 'good' | 'bad' | 'neutral'
}

/**
 * An event in words. One of a kind that a later version made keeps its type as its title.
 * @param renames how many pairs of a diff's paths are shown as one renamed file
 */
export function describeEvent(event: RunEvent, renames = 0): EventText {
  switch (event.type) {
    case 'run_started':
      return { title: 'Run started', detail: '', mood: 'neutral' }
    case 'workspace_loaded':
      return {
        title: 'Workspace loaded',
        detail: event.version === null ? 'nothing saved yet' : `version ${event.version}`,
        mood: 'neutral',
      }
    case 'workspace_snapshot_taken':
      return {
        title: `Snapshot ${event.label.replace('_', ' ')}`,
        detail: `${event.backend} ${event.ref.slice(0, 12)}`,
        mood: 'neutral',
      }
    case 'run_agent_finished':
      return {
        title: `Agent ${event.status}`,
        detail: '',
        mood: event.status === 'completed' ? 'good' : 'bad',
      }
    case 'workspace_diff_computed':
      return {
        title: 'Diff computed',
        detail: `${formatCount(event.filesChanged, 'path')}, +${event.insertions} −${event.deletions}${renames > 0 ? `, with ${formatCount(renames, 'rename')} as removed and added` : ''}`,
        mood: 'neutral',
      }
    case 'workspace_rolled_back':
      return {
        title: 'Rolled back',
        detail: `${event.restored} restored, ${event.deleted} deleted, ${event.verified ? 'verified' : 'not verified'}`,
        mood: event.verified ? 'good' : 'bad',
      }
    case 'workspace_saved':
      return { title: 'Workspace saved', detail: `version ${event.version}`, mood: 'good' }
    case 'workspace_step_failed':
      return { title: `Step ${event.step} failed`, detail: `${event.code}: ${event.message}`, mood: 'bad' }
    case 'run_finished':
      return {
        title: 'Run finished',
        detail: event.status,
        mood: event.status === 'completed' ? 'good' : 'bad',
      }
    default:
      return { title: String((event as { type: unknown }).type), detail: '', mood: 'neutral' }
  }
}
