// pg-boss: workers take large batches, one after the other, and share the places in
// flight, so that requests go on while the next batch is fetched.

import PgBoss from 'pg-boss'
import { mail, run } from './common.mjs'

const QUEUE = 'mail'
const WORKERS = 2

const boss = new PgBoss({
  host: process.env.PGHOST,
  user: process.env.PGUSER,
  database: process.env.PGDATABASE,
  max: 10
})
boss.on('error', error => { console.error(error); process.exit(1) })

async function open () {
  await boss.start()
  await boss.createQueue(QUEUE)
}

// At most so many at once, over all workers.
function limiter (places) {
  const waiting = []

  return {
    async enter () {
      if (places > 0) places--
      else await new Promise(resolve => waiting.push(resolve))
    },
    leave () {
      if (waiting.length > 0) waiting.shift()()
      else places++
    }
  }
}

run({
  open,

  async fill (count) {
    for (let first = 1; first <= count; first += 1000) {
      const jobs = []
      for (let n = first; n < first + 1000 && n <= count; n++) {
        jobs.push({ name: QUEUE, data: mail(n) })
      }
      await boss.insert(jobs)
    }
  },

  async enqueue (job) {
    await boss.send(QUEUE, job)
  },

  async work (send, inFlight) {
    const limit = limiter(inFlight)
    const options = {
      batchSize: 1000,
      pollingIntervalSeconds: 0.5,
      priority: false
    }

    await open()
    for (let i = 0; i < WORKERS; i++) {
      const id = await boss.work(QUEUE, options, async jobs => {
        await Promise.all(jobs.map(async job => {
          await limit.enter()
          try { await send(job.data) } finally { limit.leave() }
        }))
        // After a full batch there may be more: no pause until the next look.
        if (jobs.length === options.batchSize) boss.notifyWorker(id)
      })
    }
    process.on('SIGTERM', async () => {
      await boss.stop({ graceful: true, wait: true, timeout: 5000 })
      process.exit(0)
    })
  },

  async end () {
    await boss.stop({ graceful: true, wait: true })
    process.exit(0)
  }
})
