"""Bringing indexes up to date for clients, where the server's owner allows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from ragkit.serve.bodies import query_flag, read_body
from ragkit.serve.client_names import checked_file_name
from ragkit.serve.failures import json_reply
from ragkit.serve.index_jobs import IndexJobs, JobReply, JobsReply
from ragkit.serve.operations import BYTES, Operation, Parameter
from ragkit.serve.server_sent import event_bytes
from ragkit.serve.serving import StreamedReply
from ragkit.serve.upload_limits import UploadLimits
from ragkit.serve.uploads import Upload, UploadReply, uploads_folder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response

    from ragkit.serve.index_jobs import IndexJob
    from ragkit.serve.serving import Serving

SSE = "text/event-stream"
_JOB = Parameter("job", "The job's id.", is_required=True, where="path")
_ALIVE = b": still there\n\n"
_CLOSED = "this server only reads indexes; `ragkit serve --allow-index` lets clients index, too"


@dataclass(frozen=True, slots=True)
class JobBody:
    """What is to be brought up to date.

    ``index``: its name; one that is not there is made. ``folders``: on the server, to be added to
    it; each lies below one of ``serve.roots``. None: what it was made of, and files sent to it.
    """

    index: str = ""
    folders: tuple[str, ...] = ()


class JobsAPI:
    """Takes files and folders into indexes.

    Args:
        serving: The indexes, and whether this is allowed.
        jobs: Those that run.
    """

    def __init__(self, serving: Serving, jobs: IndexJobs) -> None:
        self._serving, self._jobs = serving, jobs
        self._limits = UploadLimits(serving.settings)

    def operations(self) -> list[Operation]:
        """What is done with jobs and files."""
        return [*self._job_operations(), self._upload_operation()]

    def _job_operations(self) -> list[Operation]:
        return [
            Operation(
                "POST",
                "/jobs",
                self.start_job,
                "Begin to bring an index up to date, or to make one.",
                reply=JobReply,
                body=JobBody,
                statuses=(404, 409, 503),
                success=202,
            ),
            Operation("GET", "/jobs", self.list_jobs, "The jobs, newest first.", reply=JobsReply),
            Operation(
                "GET",
                "/jobs/{job}",
                self.show_job,
                "A job as it is now.",
                reply=JobReply,
                parameters=(_JOB,),
                statuses=(404,),
            ),
            Operation(
                "GET",
                "/jobs/{job}/events",
                self.watch_job,
                "A job as it is now and whenever it is further, until it is over.",
                events={"job": JobReply},
                parameters=(_JOB,),
                statuses=(404,),
            ),
            Operation(
                "DELETE",
                "/jobs/{job}",
                self.cancel_job,
                "Stop a job after its next file; what was read is kept.",
                reply=JobReply,
                parameters=(_JOB,),
                statuses=(404,),
                success=202,
            ),
        ]

    def _upload_operation(self) -> Operation:
        return Operation(
            "PUT",
            "/uploads/{index}/{name:path}",
            self.upload,
            "Send a file; the next job of its index reads it.",
            reply=UploadReply,
            parameters=(
                Parameter("index", "The index, made or not.", is_required=True, where="path"),
                Parameter(
                    "name", "The file's name, in folders if so.", is_required=True, where="path"
                ),
                Parameter("replace", "Take the place of another file of that name.", "bool"),
            ),
            takes=BYTES,
            statuses=(404, 408, 409, 429, 507),
        )

    async def start_job(self, request: Request) -> Response:
        """Begin a job."""
        self._require_leave()
        asked = await read_body(request, JobBody)
        job = await self._jobs.start(asked.index, asked.folders)
        return json_reply(job.reply(), 202)

    async def list_jobs(self, _request: Request) -> Response:
        """The jobs, newest first."""
        self._require_leave()
        return json_reply(JobsReply(tuple(job.reply() for job in self._jobs.all())))

    async def show_job(self, request: Request) -> Response:
        """A job as it is now."""
        return json_reply(self._job(request).reply())

    async def watch_job(self, request: Request) -> Response:
        """A job as it is now and whenever it is further."""
        return StreamedReply(_events(self._job(request)), SSE)

    async def cancel_job(self, request: Request) -> Response:
        """Stop a job."""
        job = self._job(request)
        self._jobs.cancel(job)
        return json_reply(job.reply(), 202)

    async def upload(self, request: Request) -> Response:
        """Take a file."""
        self._require_leave()
        name, place = self._serving.indexes.place_for(request.path_params["index"])
        path = checked_file_name(request.path_params["name"])
        folder, replace = uploads_folder(name, place), query_flag(request, "replace")
        upload = Upload(folder, path)
        length = request.headers.get("content-length", "")
        size = int(length) if length.isdigit() else None
        async with self._limits.room(folder.parent, size):
            upload.require_room(size or 0)
            state = await upload.receive(request.stream(), replace=replace)
        reply = UploadReply(name, path, upload.size_bytes, upload.sha256, state)
        return json_reply(reply)

    def _job(self, request: Request) -> IndexJob:
        self._require_leave()
        return self._jobs.get(request.path_params["job"])

    def _require_leave(self) -> None:
        if not self._serving.allow_index:
            raise HTTPException(403, _CLOSED)


async def _events(job: IndexJob) -> AsyncGenerator[bytes, None]:
    async for state in job.states():
        yield _ALIVE if state is None else event_bytes("job", state)
