"""Small made-up tables in the exact layouts in which public data sets are published."""

# ruff: noqa: E501  rows of tables stay on one line

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,"
    "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices\n"
)
MIMIC_HEADER = (
    "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,"
    "Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices\n"
)
PADCHEST_HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "MethodProjection,Pediatric,Modality_DICOM,Manufacturer_DICOM,PhotometricInterpretation_DICOM,"
    "PixelRepresentation_DICOM,PixelAspectRatio_DICOM,SpatialResolution_DICOM,BitsStored_DICOM,WindowCenter_DICOM,"
    "WindowWidth_DICOM,Rows_DICOM,Columns_DICOM,XRayTubeCurrent_DICOM,Exposure_DICOM,ExposureInuAs_DICOM,ExposureTime,"
    "RelativeXRayExposure_DICOM,ReportID,Report,MethodLabel,Labels,Localizations,LabelsLocalizationsBySentence,labelCUIS,"
    "LocalizationsCUIS\n"
)
CONCEPTS = "\"['C0032227' 'C0004144' 'C0038536' 'C0264545' 'C0018800' 'C0742855'\n 'C0521530' 'C0024115']\""
"""More than fit into one line, as numpy prints them in PadChest's table."""
VINDR_CLASSES = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,Enlarged PA,"
    "ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,"
    "Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,Tuberculosis,"
    "Other diseases,No finding"
)


def write_chexpert(folder: Path) -> Path:
    """Two training patients, one with a lateral; one validation patient; a test table without profiles."""
    (folder / "train.csv").write_text(
        CHEXPERT_HEADER
        + "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0\n"
        + "CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,Male,87,Frontal,PA,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,\n"
        + "CheXpert-v1.0-small/train/patient00002/study2/view2_lateral.jpg,Male,87,Lateral,,,,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,\n"
    )
    (folder / "valid.csv").write_text(
        CHEXPERT_HEADER
        + "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
    )
    test_columns = [
        name for name in CHEXPERT_HEADER.strip().split(",") if name not in ("Sex", "Age", "Frontal/Lateral", "AP/PA")
    ]
    (folder / "test_labels.csv").write_text(
        ",".join(test_columns) + "\n" + "test/patient64741/study1/view1_frontal.jpg,0" + ",1" * 13 + "\n"
    )
    return folder


def write_mimic(folder: Path) -> Path:
    """Three studies of two patients, one of them without labels; metadata plain, the rest compressed."""
    studies = "10000032,50414267,,,,,,,,,1.0,,,,,\n10000032,53189527,,-1.0,,1.0,,,,,,0.0,,-1.0,,\n"
    compressed = {
        "mimic-cxr-2.0.0-chexpert.csv": MIMIC_HEADER + studies,
        "mimic-cxr-2.0.0-negbio.csv": MIMIC_HEADER + studies.replace("-1.0,,1.0", "0.0,,1.0"),
        "mimic-cxr-2.0.0-split.csv": "dicom_id,study_id,subject_id,split\n"
        "02aa804e-bde0afdd,50414267,10000032,train\n174413ec-4ec4c1f7,50414267,10000032,train\n"
        "2a2277a9-b0ded155,53189527,10000032,train\n68b5c4b1-227d0485,53911762,10000764,validate\n",
    }
    for name, text in compressed.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "mimic-cxr-2.0.0-metadata.csv").write_text(
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
        "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning\n"
        "02aa804e-bde0afdd,10000032,50414267,CHEST (PA AND LAT),PA,3056,2544,21800506,213014.531,CHEST (PA AND LAT),postero-anterior,Erect\n"
        "174413ec-4ec4c1f7,10000032,50414267,CHEST (PA AND LAT),LL,3056,2544,21800506,213014.531,CHEST (PA AND LAT),lateral,Erect\n"
        "2a2277a9-b0ded155,10000032,53189527,CHEST (PORTABLE AP),AP,3056,2544,21800626,165500.312,CHEST (PORTABLE AP),antero-posterior,\n"
        "68b5c4b1-227d0485,10000764,53911762,CHEST (PORTABLE AP),,3056,2544,21321015,094115.000,CHEST (PORTABLE AP),,\n"
    )
    return folder


def write_padchest(folder: Path) -> Path:
    """Four studies: physicians' and a program's labels, a row to be left out, and one without labels."""

    def row(image: str, patient: str, labels: str, *, projection: str = "PA", by: str = "Physician") -> str:
        before = f"0,{image},0,20140915,study-{image[:4]},{patient},1930.0,F,POSTEROANTERIOR,{projection},Manual review of DICOM fields,No,DX"
        return f'{before},,MONOCHROME2,0,,,12,,,2021,2021,,,,,,4765777,informe,{by},"{labels}",[],[],{CONCEPTS},[]\n'

    (folder / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv").write_text(
        PADCHEST_HEADER
        + row("0001_a.png", "p1", "['pleural effusion', ' laminar atelectasis', 'subcutaneous emphysema']")
        + row("0002_b.png", "p2", "['normal']", projection="L", by="RNN_model")
        + row("0003_c.png", "p3", "['exclude', 'pneumonia']", projection="UNK")
        + row("0004_d.png", "p4", "['', 'unchanged']", projection="AP_horizontal")
    )
    return folder


def write_vindr(folder: Path) -> Path:
    """One training radiograph that three radiologists read, one normal one, one of the test part."""
    tables = folder / "annotations"
    tables.mkdir()

    def classes(*present: str) -> str:
        return ",".join("1" if name in present else "0" for name in VINDR_CLASSES.split(","))

    train = [
        f"aa11,R{i},{classes(*present)}"
        for i, present in enumerate(
            [
                ("Cardiomegaly", "Pleural effusion", "Tuberculosis"),
                ("Cardiomegaly",),
                ("Cardiomegaly", "Pleural effusion"),
            ],
            8,
        )
    ] + [f"bb22,R{i},{classes('No finding')}" for i in (8, 9, 10)]
    (tables / "image_labels_train.csv").write_text(f"image_id,rad_id,{VINDR_CLASSES}\n" + "\n".join(train) + "\n")
    (tables / "image_labels_test.csv").write_text(f"image_id,{VINDR_CLASSES}\ncc33,{classes('Nodule/Mass', 'COPD')}\n")
    (tables / "annotations_train.csv").write_text(
        "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n"
        "aa11,R8,Cardiomegaly,691.0,1375.0,1653.0,1831.0\naa11,R9,Cardiomegaly,700,1380,1650,1830\n"
        "aa11,R9,ILD,10,20,110,220\naa11,R10,ILD,12,20,110,220\naa11,R8,Pleural effusion,1,2,3,4\n"
        "bb22,R8,No finding,,,,\nbb22,R9,No finding,,,,\nbb22,R10,No finding,,,,\n"
    )
    (tables / "annotations_test.csv").write_text(
        "image_id,class_name,x_min,y_min,x_max,y_max\ncc33,Nodule/Mass,100,200,130,240\n"
    )
    return folder


def write_openi(folder: Path) -> Path:
    """Three reports with four images, as passed on at Kaggle."""
    (folder / "indiana_projections.csv").write_text(
        "uid,filename,projection\n1,1_IM-0001-4001.dcm.png,Frontal\n1,1_IM-0001-3001.dcm.png,Lateral\n"
        "2,2_IM-0652-1001.dcm.png,Frontal\n3,3_IM-1384-1001.dcm.png,Frontal\n"
    )
    (folder / "indiana_reports.csv").write_text(
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
        '1,normal,normal,Xray Chest PA and Lateral,"Positive TB test",None.,"Clear, no ""focus"".",Normal.\n'
        "2,Cardiomegaly/borderline;Thickening/pleura/apex;Opacity/lung/base/left,Cardiomegaly;Thickening;Opacity,Chest,,,,\n"
        "3,No Indexing,No Indexing,Chest,,,,\n"
    )
    return folder


def write_openi_xml(folder: Path) -> Path:
    """Two of NLM's reports."""
    reports = folder / "ecgen-radiology"
    reports.mkdir()
    for number, terms in (
        (1, "<major>normal</major>"),
        (2, "<major>Pleural Effusion/left</major><major>Cardiomegaly</major>"),
    ):
        (reports / f"{number}.xml").write_text(
            f'<?xml version="1.0" encoding="utf-8"?>\n<eCitation>\n<meta type="rr"/><uId id="CXR{number}"/>'
            f'<pmcId id="{number}"/><MedlineCitation Owner="Indiana University Hospital"><Article><Abstract>'
            '<AbstractText Label="FINDINGS">None.</AbstractText></Abstract></Article></MedlineCitation>'
            f"<MeSH>{terms}<automatic>Cardiomegaly</automatic></MeSH>"
            f'<parentImage id="CXR{number}_IM-0001-3001"><figureId>F1</figureId><caption>Chest</caption></parentImage>'
            f'<parentImage id="CXR{number}_IM-0001-4001"><figureId>F2</figureId><caption>Chest</caption></parentImage>'
            "</eCitation>\n"
        )
    return folder


TABLE_RULES = {
    "file": "cases.csv",
    "image": "File",
    "patient": "MRN",
    "site": "Hospital",
    "date": "Day",
    "split": "Part",
    "findings": {"Effusion": "pleural_fluid", "Lung_Opacity": "opacity"},
}


def write_table(folder: Path) -> Path:
    """A hospital's own table, for `TABLE_RULES`."""
    (folder / "cases.csv").write_text(
        "File,MRN,Hospital,Day,Part,pleural_fluid,opacity\n"
        "x/1.2.840.1.dcm,7,North,2019-03-01,train,1,0\nx/1.2.840.2.dcm,8,South,20200102,val,,yes\n1.2.840.3,9,,,test,-1,No\n"
    )
    return folder


LAYOUTS: Mapping[str, Callable[[Path], Path]] = {
    "chexpert": write_chexpert,
    "mimic": write_mimic,
    "padchest": write_padchest,
    "vindr": write_vindr,
    "openi": write_openi,
    "table": write_table,
}
"""By name of the data set; NIH's are written by `write_nih`."""
