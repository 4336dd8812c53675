class RerankError(RuntimeError):
    """What the server or the library says when it cannot: the message names what, where and what to do."""

    def __init__(self, message, code=None):
        super().__init__(message)
        self.code = code  # an HTTP status, or one of google.rpc.Code
