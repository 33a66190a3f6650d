import type { IncomingMessage, ServerResponse } from 'node:http'
import { readAll, sendBytes, sendJson, sendUploadAnswer } from './gcs-answer.ts'
import { assertPreconditions, toResource, type GcsObjects, type ObjectResource } from './gcs-objects.ts'
import type { GcsRequest } from './gcs-route.ts'
import { parseMultipart, type GcsUploads } from './gcs-uploads.ts'

export interface GcsState {
  readonly objects: GcsObjects
  readonly uploads: GcsUploads
}

/** Does what an allowed request asks for, and answers it. */
export async function performGcsRequest(
  { objects, uploads }: GcsState,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  { operation, bucket, name }: GcsRequest,
): Promise<void> {
  const query = url.searchParams
  switch (operation) {
    case 'bucket.get':
      objects.bucket(bucket)
      return sendJson(response, { kind: 'storage#bucket', id: bucket, name: bucket })
    case 'object.list':
      return sendJson(response, objects.list(bucket, query))
    case 'object.get': {
      const found = objects.find(bucket, name, query)
      assertPreconditions(found, query, true)
      return sendJson(response, toResource(found))
    }
    case 'object.read':
    case 'signed.read': {
      const found = objects.find(bucket, name, query)
      assertPreconditions(found, query, true)
      return sendBytes(request, response, found)
    }
    case 'object.delete':
      objects.delete(bucket, name, query)
      response.writeHead(204).end()
      return
    case 'object.patch': {
      const resource = JSON.parse((await readAll(request)).toString()) as ObjectResource
      return sendJson(response, toResource(objects.patch(bucket, name, resource, query)))
    }
    case 'object.insert':
    case 'signed.write': {
      const body = await readAll(request)
      const contentType = request.headers['content-type'] ?? 'application/octet-stream'
      const { resource, bytes } =
        query.get('uploadType') === 'multipart'
          ? parseMultipart(contentType, body)
          : { resource: { contentType }, bytes: body }
      return sendJson(response, toResource(objects.insert(bucket, name, resource, [bytes], query)))
    }
    case 'upload.start': {
      const text = (await readAll(request)).toString()
      const resource = (text === '' ? {} : JSON.parse(text)) as ObjectResource
      const contentType = request.headers['x-upload-content-type']
      const typed = { ...(typeof contentType === 'string' ? { contentType } : {}), ...resource }
      const id = uploads.start(bucket, name, typed, query)
      // Of the address that the client used: it may be that of a proxy.
      const location = `http://${request.headers.host}/upload/storage/v1/b/${encodeURIComponent(bucket)}/o?uploadType=resumable&name=${encodeURIComponent(name)}&upload_id=${id}`
      response.writeHead(200, { location, 'content-length': 0 }).end()
      return
    }
    case 'upload.part':
      return sendUploadAnswer(response, await uploads.receive(query.get('upload_id') ?? '', request))
    case 'upload.cancel':
      return sendUploadAnswer(response, uploads.cancel(query.get('upload_id') ?? ''))
  }
}
