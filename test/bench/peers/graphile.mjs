// graphile-worker, as its page about performance sets it up: a local queue,
// completions in batches, prepared statements; and without its line of log for
// every job.

import { Logger, makeWorkerUtils, run as runWorker } from 'graphile-worker'
import pg from 'pg'
import { mail, run } from './common.mjs'

let utils
let pool
let noops = 0

async function fill (identifier, payload, count) {
  for (let first = 1; first <= count; first += 1000) {
    const jobs = []
    for (let n = first; n < first + 1000 && n <= count; n++) {
      jobs.push({ identifier, payload: payload(n) })
    }
    await utils.addJobs(jobs)
  }
}

run({
  async open () {
    pool = new pg.Pool({ max: 1 })
    utils = await makeWorkerUtils({ pgPool: pool })
    await utils.migrate()
  },

  async fill (count) {
    await fill('mail', mail, count)
  },

  async noops (count) {
    await fill('noop', n => ({ n }), count)
  },

  async enqueue (job) {
    await utils.addJob('mail', job)
  },

  async work (send, inFlight) {
    process.on('SIGTERM', () => { if (noops > 0) console.log(`ran ${noops} noops`) })
    await runWorker({
      logger: new Logger(() => () => {}),
      taskList: {
        mail: async payload => { await send(payload) },
        noop: async () => { noops++ }
      },
      noHandleSignals: false,
      preset: {
        worker: {
          connectionString: 'postgres:///',
          concurrentJobs: inFlight,
          maxPoolSize: 20,
          localQueue: { size: Math.max(500, 2 * inFlight) },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0
        }
      }
    })
  },

  async end () {
    await utils.release()
    await pool.end()
  }
})
