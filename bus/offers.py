"""Offers through rq, and nothing else through rq.

rq resolves and calls whatever a message names, so whoever can write to Redis could run anything on every agent
(`reliability.md`, R1). Our worker class never asks rq to perform a job: it recognises one name, reads the offer
out of the JSON arguments, and its signature, removes the job and hands the offer over. Everything else is dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Event

import redis
from pydantic import ValidationError
from rq import Queue, SimpleWorker
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import as_text
from rq.worker_registration import clean_worker_registry

from sweepyard.bus.keys import Keys
from sweepyard.bus.signing import is_signed, sign
from sweepyard.bus.wire import AttemptRef, Offer, other_version
from sweepyard.errors import UserError

CALLABLE = "sweepyard.offer"
"""The one name that an agent accepts. Nothing is behind it: offers are read, never called."""

WORKER_TTL_S = 60
"""rq's worker wakes this often (less 15 s) without any offer."""

REST_S = 1.0
"""How often a worker that should fetch nothing looks whether it should end."""

TAKEN_TTL_S = 24 * 3600
"""How long Redis remembers an offer whose agent was killed while it held it."""

log = logging.getLogger(__name__)


def open_queue(client: redis.Redis, keys: Keys, sweep_id: str) -> Queue:
    """The sweep's queue. rq wants answers as bytes: `client` must not decode them."""
    return Queue(keys.queue(sweep_id), connection=client, serializer=JSONSerializer)


def put(queue: Queue, offer: Offer, key: bytes) -> None:
    """Queue an offer once, signed with `key`, however often this is called before someone takes it."""
    text = offer.model_dump_json()
    try:
        queue.enqueue_call(
            CALLABLE,
            args=(text, sign(key, text)),
            timeout=-1,
            result_ttl=0,
            failure_ttl=3600,
            job_id=str(offer.ref),
            description=f"run {offer.number}, attempt {offer.attempt}",
            unique=True,
        )
    except DuplicateJobError:
        # It may be that of an earlier controller, which agents refuse; or only the job's hash survived (an agent
        # died while taking it, or a tail of the log was cut off).
        remove(queue, [offer.ref])
        put(queue, offer, key)


def remove(queue: Queue, refs: Sequence[AttemptRef]) -> None:
    """Forget offers, wherever rq keeps them."""
    with queue.connection.pipeline(transaction=False) as pipeline:
        for ref in refs:
            pipeline.lrem(queue.key, 0, str(ref))
            pipeline.lrem(queue.intermediate_queue_key, 0, str(ref))
            pipeline.delete(Job.key_for(str(ref)))
        pipeline.execute()


def waiting(queue: Queue) -> set[AttemptRef]:
    """Offers in the queue. One that a worker is just fetching is not among them."""
    return {AttemptRef.parse(job_id) for job_id in queue.get_job_ids()}


def sweeps_with_queues(client: redis.Redis, keys: Keys) -> set[str]:
    """The sweeps of one installation whose queues rq knows."""
    beginning = f"{Queue.redis_queue_namespace_prefix}{keys.queue('')}"
    known = map(as_text, client.smembers(Queue.redis_queues_keys))
    return {name.removeprefix(beginning) for name in known if name.startswith(beginning)}


def close(queue: Queue) -> None:
    """Forget a queue and its offers, those that a worker was fetching when it died, too."""
    names = (queue.key, queue.intermediate_queue_key)
    job_ids = [job_id for name in names for job_id in queue.connection.lrange(name, 0, -1)]
    with queue.connection.pipeline(transaction=True) as pipeline:
        pipeline.delete(*names, *(Job.key_for(as_text(job_id)) for job_id in job_ids))
        pipeline.srem(queue.redis_queues_keys, queue.key)
        pipeline.execute()


def forget_worker(pipeline: redis.client.Pipeline, name: str, queue: str) -> None:
    """Remove what rq knows of a worker that is about to end without a word to rq."""
    key = f"{OfferWorker.redis_worker_namespace_prefix}{name}"
    pipeline.delete(key)
    pipeline.srem("rq:workers", key)
    pipeline.srem(f"rq:workers:{queue}", key)


def read_offer(job: Job, sweep_id: str, key: bytes) -> Offer | None:
    """The sweep's offer in a job, None if it is something else, not signed with `key`, or damaged.

    Raises:
        UserError: its sender is of another version.
    """
    try:
        if job.func_name != CALLABLE or job.kwargs:
            return None
        text, signature = job.args
        if not is_signed(key, text, signature):
            return None
        if trouble := other_version(text):
            raise UserError(f"{trouble}.")
        offer = Offer.model_validate_json(text)
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError, LookupError):
        return None
    except UserError:
        raise
    except Exception:  # rq wraps what goes wrong while it reads a job in errors that differ by version
        log.debug("unreadable job %s", job.id, exc_info=True)
        return None
    return offer if (str(offer.ref), offer.sweep) == (job.id, sweep_id) else None


class OfferWorker(SimpleWorker):
    """An rq worker that hands offers over and performs nothing.

    Overrides as little as two majors of rq allow: `execute_job` is all that sees a job.
    """

    def __init__(
        self,
        queue: Queue,
        name: str,
        sweep_id: str,
        key: bytes,
        is_current: Callable[[Offer], bool],
        take: Callable[[Offer], bool],
        leave: Event,
        ready: Event,
    ) -> None:
        super().__init__(
            [queue],
            name=name,
            connection=queue.connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            log_job_description=False,
        )
        self._sweep_id = sweep_id
        self._key = key
        self._is_current = is_current
        self._take = take
        self._leave = leave
        self._ready = ready
        self.refusal: UserError | None = None
        """Why no offer of this service can be read, once it is known."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        try:
            offer = read_offer(job, self._sweep_id, self._key)
        except UserError as error:
            self.refusal, self._stop_requested = error, True
            return self._put_back(job, queue)
        if offer is not None and not self._is_current(offer):
            # The present controller makes the offer anew, under the same id, and may have done so already.
            log.info("passed over job %.60s: an offer of a former controller", job.id)
            queue.connection.lrem(queue.intermediate_queue_key, 0, job.id)
            return None
        if offer is None:
            log.warning("refused job %.60s: not an offer that this installation has signed for this sweep", job.id)
        # Out of rq's hands before it is taken: what an agent holds, the store knows.
        with queue.connection.pipeline() as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 0, job.id)
            pipeline.expire(job.key, TAKEN_TTL_S)
            pipeline.execute()
        if offer is None or self._take(offer):
            queue.connection.delete(job.key)
        else:
            self._put_back(job, queue)
            while not (self._leave.is_set() or self._ready.wait(REST_S)):
                pass
        if self._leave.is_set():
            self._stop_requested = True

    def _put_back(self, job: Job, queue: Queue) -> None:
        with queue.connection.pipeline() as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 0, job.id)
            pipeline.persist(job.key)
            pipeline.lpush(queue.key, job.id)
            pipeline.sadd(queue.redis_queues_keys, queue.key)
            pipeline.execute()

    def _install_signal_handlers(self) -> None:
        """Signals belong to the agent, and this runs in a thread."""

    def subscribe(self) -> None:
        """No remote commands: who may write to Redis must not be able to end agents through rq."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed."""

    def run_maintenance_tasks(self) -> None:
        """Forget workers that have died, and do nothing else that rq would do.

        It would call what the callbacks of abandoned jobs name, and post to their webhooks: on the word of whoever
        can write to Redis. Offers that an agent had half fetched when it died, the controller makes again.
        """
        for queue in self.queues:
            clean_worker_registry(queue)
        self.last_cleaned_at = datetime.now(UTC)  # type: ignore[assignment]  # rq infers None
