// graphile-worker, as its page about performance sets it up: a local queue,
// completions in batches, prepared statements; and without its line of log for
// every job.

import { Logger, makeWorkerUtils, run as runWorker } from 'graphile-worker'
import pg from 'pg'
import { mail, run } from './common.mjs'

let utils
let pool

run({
  async open () {
    pool = new pg.Pool({ max: 1 })
    utils = await makeWorkerUtils({ pgPool: pool })
    await utils.migrate()
  },

  async fill (count) {
    for (let first = 1; first <= count; first += 1000) {
      const jobs = []
      for (let n = first; n < first + 1000 && n <= count; n++) {
        jobs.push({ identifier: 'mail', payload: mail(n) })
      }
      await utils.addJobs(jobs)
    }
  },

  async enqueue (job) {
    await utils.addJob('mail', job)
  },

  async work (send, inFlight) {
    await runWorker({
      logger: new Logger(() => () => {}),
      taskList: { mail: async payload => { await send(payload) } },
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
