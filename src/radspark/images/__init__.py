"""One file's bytes to a prepared grey radiograph: PNG, JPEG, DICOM. No torch, no Spark."""

from radspark.images.decode import decode_radiograph
from radspark.images.grey import GreyImage, ImageLimits
from radspark.images.prepare import Reading, prepare_image, read_file, read_radiograph

__all__ = ["GreyImage", "ImageLimits", "Reading", "decode_radiograph", "prepare_image", "read_file", "read_radiograph"]
